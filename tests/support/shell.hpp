#pragma once

#include <string>

namespace outcrop {

struct ShellOutcome {
  int code = -1;       // exit status, or 128 + the signal that ended it
  std::string output;  // standard output and error, as a person sees them
};

// Runs a command of sh(1) to its end. Throws std::system_error where there is no process to be had.
[[nodiscard]] ShellOutcome run_shell(const std::string& command);

}  // namespace outcrop
