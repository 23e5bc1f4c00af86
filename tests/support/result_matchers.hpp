#pragma once

#include <gmock/gmock.h>

#include "protocol/base/error.hpp"

namespace outcrop {

// EXPECT_THAT(result, IsOk());
MATCHER(IsOk, negation ? "is an error" : "is a value") {
  if (arg.has_value()) return true;
  *result_listener << to_string(arg.error().code()) << ": " << arg.error().message();
  return false;
}

// EXPECT_THAT(result, ErrorIs(ErrorCode::untrusted, HasSubstr("...")));
MATCHER_P2(ErrorIs, code, message, "is the error asked for") {
  if (arg.has_value()) {
    *result_listener << "which is a value";
    return false;
  }
  *result_listener << "which is " << to_string(arg.error().code()) << ": " << arg.error().message();
  return arg.error().code() == code &&
         ::testing::ExplainMatchResult(message, arg.error().message(), result_listener);
}

}  // namespace outcrop
