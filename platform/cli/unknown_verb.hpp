#pragma once

#include <optional>
#include <span>
#include <string>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// Says which word of the command line is no verb where one is needed, and which verb was probably
// meant. CLI11 itself only says that a subcommand is required.
[[nodiscard]] std::optional<std::string> unknown_verb(const CLI::App& app,
                                                      std::span<const std::string> words);

}  // namespace outcrop::cli
