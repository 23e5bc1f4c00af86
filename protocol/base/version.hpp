#pragma once

#include <string>
#include <string_view>

namespace outcrop {

// The version of this code, "0.1.0".
[[nodiscard]] std::string_view version();

// Version and commit, "0.1.0 (1f3c9a0b2d4e)": what a release and a data set say made them.
// "-dirty" behind the commit means that the tree had changes which were not committed.
[[nodiscard]] std::string code_version();

// What host and board speak. A board refuses a manifest that asks for a higher one.
inline constexpr int protocol_version = 6;
// The first whose boards take signed commands, and sign their status (SCHEMA.md, "Command").
inline constexpr int signed_since = 5;
// What is written before anything is known of the reader: every version of either side reads it.
inline constexpr int first_protocol = 1;

}  // namespace outcrop
