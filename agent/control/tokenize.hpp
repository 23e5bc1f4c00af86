#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/text_input.hpp"

namespace outcrop::agent {

// outcrop-tokenize beside this program.
[[nodiscard]] std::filesystem::path tokenizer_beside_agent();

// The ids of a text, as many as a model takes, by `program`: libicu, which it is linked with, is six times what an agent may
// take. not_found where there is no such program; crashed, with its words, where it ends without as many ids.
[[nodiscard]] Result<std::vector<std::int64_t>> tokenize(const std::filesystem::path& program,
                                                         const messages::TextInput& input, const std::string& text);

}  // namespace outcrop::agent
