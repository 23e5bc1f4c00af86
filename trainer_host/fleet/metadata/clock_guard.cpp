#include "trainer_host/fleet/metadata/clock_guard.hpp"

#include <ctime>

namespace outcrop::fleet {
namespace {

constexpr std::chrono::hours largest_step{1};
// No host is off for longer and comes back with a clock that nobody set.
constexpr std::chrono::days longest_pause{30};
constexpr std::chrono::days into_the_future{1};

constexpr const char* remedy =
    ". Nothing is signed by it: set the clock and let it be kept (systemd-timesyncd, chrony); "
    "where it is right and nobody can keep it, say `believe_clock = true` in [trust]";

}  // namespace

ClockGuard::ClockGuard(std::function<bool()> synchronised, bool believed, Elapsed elapsed)
    : synchronised_(std::move(synchronised)), believed_(believed), elapsed_(std::move(elapsed)) {}

std::chrono::seconds ClockGuard::since_boot() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec);
}

Status ClockGuard::check(Timestamp now, const std::optional<Timestamp>& issued) {
  const std::chrono::seconds elapsed = elapsed_();
  if (!believed_ && !synchronised_()) {
    const std::string today = "the clock says " + to_rfc3339(now) + ", and nobody keeps it right";
    if (good_) {
      const auto step = now - good_->now - (elapsed - good_->elapsed);
      if (step > largest_step || step < -largest_step) {
        return fail(ErrorCode::refused, today + ": it was set by " +
                                            std::to_string(step.count() / 3600) +
                                            " hours while outcropd ran (start it again where "
                                            "it is right now)" +
                                            remedy);
      }
    }
    if (issued && now - *issued > longest_pause) {
      return fail(ErrorCode::refused, today + ": the newest timestamp was signed on " +
                                          to_rfc3339(*issued) + ", long before" + remedy);
    }
    if (issued && *issued - now > largest_step) {
      return fail(ErrorCode::refused, today + ": the newest timestamp was signed on " +
                                          to_rfc3339(*issued) + ", after that" + remedy);
    }
  }
  good_ = {now, elapsed};
  return {};
}

std::optional<std::string> future_words(Timestamp now, const std::optional<Timestamp>& issued) {
  if (!issued || *issued - now <= into_the_future) return std::nullopt;
  return "a timestamp was signed on " + to_rfc3339(*issued) +
         ", by a clock that had leapt ahead: boards without a clock of their own believe that "
         "date, and refuse what expires before it. Sign with a new key, which makes them forget "
         "it: `outcrop keys rotate timestamp --dir keys`, put keys/online/timestamp.key in place "
         "of the old one, `outcrop keys publish --dir keys`";
}

}  // namespace outcrop::fleet
