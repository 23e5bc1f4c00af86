#pragma once

#include <map>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// What `outcrop device list` and `outcrop fleet` show of outcropd's answers, for terminals of 100
// columns. They throw what nlohmann throws at answers of another form (reading_answers).

// Who was enrolled, and when.
[[nodiscard]] std::string enrolment_table(const Json& devices, Timestamp now);

// What boards do now, with the reasons below.
[[nodiscard]] std::string device_table(const Json& devices, Timestamp now);

// Releases by digest, each as GET /v1/releases/SHA describes it: for units, and for the variants
// that no board has measured.
using ReleaseDetails = std::map<std::string, Json>;

// Board × release × variant, by the newest report on each, "not measured" where there is none.
[[nodiscard]] std::string report_table(const Json& reports, const ReleaseDetails& releases);

}  // namespace outcrop::cli
