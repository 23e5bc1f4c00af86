#pragma once

#include <functional>
#include <string_view>

namespace outcrop {

// The top of every main function. Exit codes of every program: 0 done, 1 failed, 2 wrong use.

// Runs `work` and returns its exit code. What no program may leave to chance:
// - an exception, in any thread, is said and ends in 1, never in std::terminate's 134;
// - what was printed to standard output arrives there: 1 and the reason where it cannot be
//   written, whatever `work` returned as done;
// - a standard descriptor that the caller closed is taken, so that no file that is opened later
//   gets what was meant for a screen.
[[nodiscard]] int run_main(std::string_view program, const std::function<int()>& work);

}  // namespace outcrop
