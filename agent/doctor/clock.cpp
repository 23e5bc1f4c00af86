#include "agent/doctor/clock.hpp"

#include "protocol/base/kept_clock.hpp"

namespace outcrop::agent {
namespace {

using runtime::MachineFiles;
using std::chrono::days;
using std::chrono::floor;
using std::chrono::year;
using std::chrono::year_month_day;

// A clock outside of these years was never set.
constexpr year first_year{2025};
constexpr year last_year{2100};

constexpr const char* set_it =
    "sudo timedatectl set-ntp true, and let UDP port 123 out; a board without a battery for its "
    "clock begins at the time of its last shutdown";

std::string keeper(const MachineFiles& files) {
  if (!files.matching(timesyncd_mark).empty()) return "systemd-timesyncd";
  if (!files.matching("run/chrony*/chronyd.pid").empty()) return "chrony";
  if (!files.matching("run/chronyd.pid").empty()) return "chrony";
  if (!files.matching("run/ntpd.pid").empty()) return "ntpd";
  return {};
}

}  // namespace

ClockReading read_clock() {
  return {SystemClock().now(), clock_is_synchronised()};
}

Finding check_clock(const MachineFiles& files, const ClockReading& clock,
                    std::optional<Timestamp> signed_at) {
  const std::string text = to_rfc3339(clock.now);
  const year now = year_month_day(floor<days>(clock.now)).year();
  if (now < first_year || now > last_year) {
    return {"clock", Verdict::fail, text + ": it was never set", set_it};
  }
  if (signed_at && clock.now < *signed_at) {
    return {"clock", clock.synchronised ? Verdict::fail : Verdict::warn,
            text + ", before what the host signed at " + to_rfc3339(*signed_at),
            clock.synchronised ? "whose clock is wrong, the host's or this board's?" : set_it};
  }
  const std::string by = keeper(files);
  const bool has_own = !files.matching("sys/class/rtc/rtc[0-9]*").empty();
  if (!clock.synchronised) {
    return {"clock", Verdict::warn,
            text + ", kept by nobody" + (by.empty() ? "" : " yet (" + by + " runs)") +
                (has_own ? "" : ", and no real-time clock"),
            set_it};
  }
  const std::string kept = text + ", synchronised" + (by.empty() ? "" : " by " + by);
  if (clock.time_bits < 64) {
    return {"clock", Verdict::warn, kept + "; this system's time ends on 2038-01-19",
            "install a 64-bit system before that day"};
  }
  return {"clock", Verdict::ok, kept, {}};
}

}  // namespace outcrop::agent
