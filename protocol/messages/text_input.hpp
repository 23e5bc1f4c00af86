#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::messages {

// How a text is asked of a model that takes ids of its pieces and answers classes (SCHEMA.md, "Texts"): beside the golden
// inputs of a release, in their file's metadata under this key, which whoever only wants tensors passes over.
inline constexpr const char* text_metadata_key = "outcrop-text";
inline constexpr ByteCount text_input_limit = ByteCount::kib(960);  // with the golden inputs' names, a file's header has 1 MiB

struct TextInput {
  std::string input;        // of the served method: int64 ["batch", length]
  std::uint64_t length = 0; // ids of a text: [CLS], its pieces, [SEP], then [PAD]
  bool cased = false;       // letters as they are written; else small, without accents
  std::string vocabulary;   // a piece a line, whose number is its id
  std::string output;       // float32 ["batch", classes]: a probability for each class
  std::vector<std::string> classes;
  bool operator==(const TextInput&) const = default;
};

[[nodiscard]] std::string to_json(const TextInput& text);
// invalid_data with the path of what is wrong.
[[nodiscard]] Result<TextInput> parse_text_input(std::string_view json);

}  // namespace outcrop::messages
