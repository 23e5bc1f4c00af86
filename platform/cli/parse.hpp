#pragma once

#include <optional>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// Parses a command line, its numbers strictly (strict_numbers.hpp). Where that is all there is to do, the exit code: after --help and
// --version, `help VERB...`, what completion and manual pages ask for (complete.hpp, man_page.hpp),
// and after a mistake, which is told on standard error with the name of the program and its verb,
// what was probably meant, and where help is.
[[nodiscard]] std::optional<int> parse(CLI::App& app, int argc, const char* const* argv);

// "outcrop 0.1.0 (1f3c9a0b2d4e)" at --version; add before parse().
void add_version(CLI::App& app, const std::string& program);

// The verb `help`, for --help to list; parse() answers it.
void add_help_verb(CLI::App& app);

}  // namespace outcrop::cli
