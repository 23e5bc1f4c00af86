#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// The tree of verbs and options that a program's parser is made of, as messages, completion and
// manual pages read it.

[[nodiscard]] std::vector<const CLI::App*> verbs_of(const CLI::App& app);
// In the order of --help, without positional ones.
[[nodiscard]] std::vector<const CLI::Option*> options_of(const CLI::App& app);
[[nodiscard]] std::vector<const CLI::Option*> positionals_of(const CLI::App& app);

// "outcrop rollout start"
[[nodiscard]] std::string full_name(const CLI::App& app);

// "--release", or "-h" where it has no long name.
[[nodiscard]] std::string name_of(const CLI::Option& option);
[[nodiscard]] bool takes_value(const CLI::Option& option);
// What its values are limited to; none where they are not.
[[nodiscard]] std::vector<std::string> choices_of(const CLI::Option& option);

// Where words of a command line lead to.
struct Place {
  const CLI::App* app = nullptr;            // the verb
  const CLI::Option* value_of = nullptr;    // whose value comes next
  std::size_t positionals = 0;              // values that stand by themselves so far
  std::vector<std::string> unknown_options;
  std::vector<std::string> too_many;        // values that nothing takes
};
[[nodiscard]] Place follow(const CLI::App& app, std::span<const std::string> words);

}  // namespace outcrop::cli
