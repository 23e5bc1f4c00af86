#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// What may stand in place of the last of these words, the one that is being typed (perhaps empty):
// a line for each, with what it is behind a tab; and the line ":files" where a file may stand there
// (behind the '=' of "--name=", where that is typed).
[[nodiscard]] std::vector<std::string> completions(const CLI::App& app,
                                                   std::span<const std::string> words);

// Shells ask (platform/cli/completion/) by `PROGRAM --complete -- WORDS`: the program itself knows
// what it takes, so that no list of it grows old elsewhere. The exit code where one asked.
[[nodiscard]] std::optional<int> answer_shell(const CLI::App& app,
                                              std::span<const std::string> words);
inline constexpr const char* complete_word = "--complete";

}  // namespace outcrop::cli
