#pragma once

#include <gmock/gmock.h>

#include <ostream>

#include "agent/doctor/finding.hpp"

namespace outcrop::agent {

inline void PrintTo(const Finding& finding, std::ostream* stream) {
  *stream << to_string(finding.verdict) << " " << finding.check << ": " << finding.found << " → "
          << finding.advice;
}

// EXPECT_THAT(check_memory(files), Finds(Verdict::warn, HasSubstr("available")));
MATCHER_P2(Finds, verdict, found, "is the finding asked for") {
  *result_listener << "which finds '" << arg.found << "'";
  // Whatever is not ok says what to do.
  return arg.verdict == verdict && arg.advice.empty() == (verdict == Verdict::ok) &&
         ::testing::ExplainMatchResult(found, arg.found, result_listener);
}

}  // namespace outcrop::agent
