#include "runtime/text/tokenizer.hpp"

#include <algorithm>
#include <string>

namespace outcrop::text {
namespace {

constexpr std::size_t longest_word = 100;  // characters
constexpr std::string_view inside = "##";

// Where characters of UTF-8 begin, and where the last one ends.
std::vector<std::size_t> borders_of(std::string_view word) {
  std::vector<std::size_t> borders;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((static_cast<unsigned char>(word[i]) & 0xC0U) != 0x80U) borders.push_back(i);
  }
  borders.push_back(word.size());
  return borders;
}

void cut(std::string_view word, const Vocabulary& vocabulary, std::vector<std::int64_t>& ids) {
  const auto borders = borders_of(word);
  const std::size_t characters = borders.size() - 1;
  const std::size_t before = ids.size();
  std::size_t begin = characters > longest_word ? characters + 1 : 0;
  std::string piece;
  while (begin < characters) {
    std::size_t end = characters;
    for (; end > begin; --end) {
      piece.assign(begin > 0 ? inside : std::string_view());
      piece += word.substr(borders[begin], borders[end] - borders[begin]);
      if (const auto id = vocabulary.find(piece)) {
        ids.push_back(*id);
        break;
      }
    }
    begin = end > begin ? end : characters + 1;
  }
  if (begin == characters) return;
  ids.resize(before);
  ids.push_back(vocabulary.unknown());
}

}  // namespace

std::vector<std::int64_t> Tokenizer::ids_of(std::string_view text) const {
  std::vector<std::int64_t> ids;
  for (const std::string& word : words_of(text, letters_)) cut(word, vocabulary_, ids);
  return ids;
}

std::vector<std::int64_t> Tokenizer::padded(std::string_view text, std::size_t length) const {
  auto ids = ids_of(text);
  ids.resize(std::min(ids.size(), length - 2));
  ids.insert(ids.begin(), vocabulary_.begins());
  ids.push_back(vocabulary_.ends());
  ids.resize(length, vocabulary_.padding());
  return ids;
}

}  // namespace outcrop::text
