#pragma once

#include "tests/support/result_matchers.hpp"

namespace outcrop::messages {

// A document that is refused with these words.
inline auto refused(const std::string& message) {
  return ErrorIs(ErrorCode::invalid_data, ::testing::HasSubstr(message));
}

}  // namespace outcrop::messages
