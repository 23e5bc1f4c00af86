#include "trainer_host/trainer/kinds/takes_texts.hpp"

#include <algorithm>

namespace outcrop::kinds {

Status check_travels(const messages::TextInput& text) {
  const std::string json = messages::to_json(text);
  const auto quoted = std::count_if(json.begin(), json.end(), [](char c) { return c == '"' || c == '\\'; });
  if (json.size() + static_cast<std::size_t>(quoted) > messages::text_input_limit.value()) {
    return fail(ErrorCode::invalid_argument, "the vocabulary and the names of the classes take " + ByteCount(json.size()).human() +
                                                 " as JSON, and a release has room for " +
                                                 messages::text_input_limit.human() + ": take fewer pieces");
  }
  if (const auto read = messages::parse_text_input(json); !read) {
    return fail(read.error().context("boards could not be told of it"));
  }
  return {};
}

}  // namespace outcrop::kinds
