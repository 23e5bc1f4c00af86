#pragma once

#include <functional>
#include <string_view>

#include <CLI/CLI.hpp>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

// Exit codes of every program: 0 done, 1 failed, 2 wrong use, 3 waited in vain.
enum class ExitCode : int { done = 0, failed = 1, wrong_use = 2, waited_in_vain = 3 };

// What an error means for whoever called the program.
[[nodiscard]] int exit_code(const Error& error);

// A verb adds its subcommand to `app` and, when chosen, its work to `chosen`: main calls that
// once after parsing, prints an error in one place and turns it into the exit code.
using Action = std::function<Status()>;
using AddVerb = std::function<void(CLI::App& app, Action& chosen)>;

// Parses, runs and reports: what a main function gives to run_main(). `program` names errors
// ("outcrop: reading ...: cut short").
[[nodiscard]] int run_program(std::string_view program, std::string_view description, int argc,
                              char** argv, std::initializer_list<AddVerb> verbs);

}  // namespace outcrop::cli
