#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace outcrop::models {

// What an exception says, without the C++ backtrace that LibTorch appends, which tells a user nothing.
[[nodiscard]] inline std::string words_of(const std::exception& error) {
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  std::string words = torch != nullptr ? torch->what_without_backtrace() : error.what();
  return words.substr(0, words.find("\nException raised from"));
}

// The first line of it, where the rest says where.
[[nodiscard]] inline std::string first_line_of(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace outcrop::models
