#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/text_input.hpp"

namespace outcrop::kinds {

// What a user says of a model that takes ids of texts.
struct TextWords {
  std::filesystem::path vocabulary;  // a piece a line, as BERT's
  bool cased = false;
  std::vector<std::string> classes;  // in the order of the answers
};

// What a recipe is besides, where boards may be asked by texts of what it makes.
class TakesTexts {
 public:
  virtual ~TakesTexts() = default;
  virtual void take_texts(TextWords words) = 0;
};

// That a release can tell boards how texts are cut, and what the classes are. invalid_argument where the vocabulary is too
// large; invalid_data for names that no message may hold.
[[nodiscard]] Status check_travels(const messages::TextInput& text);

}  // namespace outcrop::kinds
