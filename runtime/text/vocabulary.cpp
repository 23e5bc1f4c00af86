#include "runtime/text/vocabulary.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "runtime/text/utf8.hpp"

namespace outcrop::text {
namespace {

Error in_line(std::size_t line, const std::string& what) {
  return {ErrorCode::invalid_data, "line " + std::to_string(line) + " of the vocabulary " + what};
}

}  // namespace

Result<Vocabulary> Vocabulary::parse(std::string_view text) {
  if (text.size() > longest_vocabulary.value()) {
    return fail(ErrorCode::invalid_data, "a vocabulary of " + ByteCount(text.size()).human() + "; it may have " +
                                             longest_vocabulary.human());
  }
  Vocabulary vocabulary;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view piece = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (piece.ends_with('\r')) piece.remove_suffix(1);
    const std::size_t line = vocabulary.pieces_.size() + 1;
    if (piece.empty()) return fail(in_line(line, "is empty: each has one piece, and its number is the piece's id"));
    if (first_invalid(piece)) return fail(in_line(line, "is not UTF-8"));
    const auto [first, fresh] = vocabulary.ids_.emplace(piece, vocabulary.pieces_.size());
    if (!fresh) {
      return fail(in_line(line, "has '" + std::string(piece) + "', which line " + std::to_string(first->second + 1) +
                                    " has already: one of both ids would never be used"));
    }
    vocabulary.pieces_.emplace_back(piece);
  }
  const std::array<std::pair<const char*, std::int64_t*>, 4> special{{{"[PAD]", &vocabulary.padding_},
                                                                      {"[UNK]", &vocabulary.unknown_},
                                                                      {"[CLS]", &vocabulary.begins_},
                                                                      {"[SEP]", &vocabulary.ends_}}};
  for (const auto& [name, id] : special) {
    const auto found = vocabulary.find(name);
    if (!found) {
      return fail(ErrorCode::invalid_data, std::string("none of the ") + std::to_string(vocabulary.size()) +
                                               " lines of the vocabulary is " + name +
                                               ": it must have [PAD], [UNK], [CLS] and [SEP]");
    }
    *id = *found;
  }
  return vocabulary;
}

Result<Vocabulary> Vocabulary::read(const std::filesystem::path& file) {
  OUTCROP_TRY(text, read_text_file(file, longest_vocabulary));
  auto vocabulary = parse(text);
  if (!vocabulary) return fail(vocabulary.error().context(file.string()));
  return vocabulary;
}

std::optional<std::int64_t> Vocabulary::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::string to_text(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece + "\n";
  return text;
}

}  // namespace outcrop::text
