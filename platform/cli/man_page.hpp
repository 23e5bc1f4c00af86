#pragma once

#include <optional>
#include <span>
#include <string>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// The program's manual page (man 7 man), of section `section`, made of what its parser knows: name,
// synopsis, verbs, options, examples, exit status. The build adds what docs/man/PROGRAM.man says of
// files and the like behind it.
[[nodiscard]] std::string man_page(const CLI::App& app, const std::string& section);

// `PROGRAM --man-page SECTION`, which the build asks. The exit code where it was asked.
[[nodiscard]] std::optional<int> print_man_page(const CLI::App& app,
                                                std::span<const std::string> words);

}  // namespace outcrop::cli
