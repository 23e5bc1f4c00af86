#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"

namespace outcrop::fuzz {

// A parser that meets bytes of strangers, with what must hold of it for every input: it ends, gives a message or an
// error, and a message that it gives is written and read as the same one. What does not hold ends the process.
struct Parser {
  const char* name;
  void (*check)(BytesView input);
  std::vector<const char*> goldens;  // its seeds: files of protocol/messages/golden/v*, or paths in the source tree
};

[[nodiscard]] std::span<const Parser> parsers();
[[nodiscard]] const Parser* parser(std::string_view name);

// Its goldens, and what lies in corpus/NAME.
[[nodiscard]] std::vector<std::filesystem::path> seeds(const Parser& parser, const std::filesystem::path& source);

}  // namespace outcrop::fuzz
