#pragma once

#include <cstdint>
#include <string>

namespace outcrop {

// "1 board", "2 boards"; "1 board was", "0 boards were" where the plural is given.
[[nodiscard]] inline std::string counted(std::uint64_t count, const std::string& one, const std::string& many = "") {
  return std::to_string(count) + " " + (count == 1 ? one : many.empty() ? one + "s" : many);
}

}  // namespace outcrop
