#pragma once

#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/release_names.hpp"

namespace outcrop::cli {

// What `outcrop device list` and `outcrop fleet` show of outcropd's answers. They throw what
// nlohmann throws at answers of another form (reading_answers).

// For whom it is shown: by which time ages are told, and how many columns there are (0: as many as
// it takes).
struct View {
  Timestamp now;
  std::size_t width = 0;
};
[[nodiscard]] View view_of_standard_output();

// Who was enrolled, and when.
[[nodiscard]] std::string enrolment_table(const Json& devices, const View& view);

// What outcropd knows of boards now: GET /v1/devices, and of GET /v1/host whether it hears them.
inline constexpr const char* nobody_enrolled =
    "No board is enrolled: outcrop device enroll NAME --class CLASS --model MODEL\n";

struct Fleet {
  Json devices;
  bool listening = true;   // else what is known of boards is from before
  std::string notes;      // host_notes.hpp
  std::string restarting{};  // why its broker is being started again; "" where it is not
};
// `words`: of a query, "class=pi&tag=lab"; "": all boards.
[[nodiscard]] Result<Fleet> read_fleet(const HostConnection& host, const std::string& words = "");

// "online", "offline 5 min", "never seen"; "stale 5 min" where outcropd does not hear boards.
[[nodiscard]] std::string seen(const Json& device, bool listening, Timestamp now);

// What boards do now, with the reasons below.
[[nodiscard]] std::string device_table(const Fleet& fleet, const ReleaseDetails& releases,
                                       const View& view);

// What is not as it should be, a sentence for each board: "pi-1 is offline (5 min)".
[[nodiscard]] std::vector<std::string> fleet_problems(const Fleet& fleet, Timestamp now);

// What boards measured: board × release × variant, each variant by the newest report that tells of
// it. What was not tried is named below, as are the reasons.
[[nodiscard]] std::string report_table(const Json& reports, const ReleaseDetails& releases,
                                       const Fleet& fleet, const View& view);

}  // namespace outcrop::cli
