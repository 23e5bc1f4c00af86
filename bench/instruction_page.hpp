#pragma once

#include <cstdint>

namespace outcrop::bench {

// What the emulator's plugin and the program that it emulates share: a file of this content, mapped
// by both. The program reads how many instructions it has executed so far as it would read a clock.
struct InstructionPage {
  // "outcrop" and a version: set by the plugin, so that a program that runs without it notices.
  static constexpr std::uint64_t expected_mark = 0x6f7574'63726f'7001;

  std::uint64_t mark = 0;
  // Of all threads together, whole blocks of straight code at a time (a dozen instructions, say).
  std::uint64_t executed = 0;
};

}  // namespace outcrop::bench
