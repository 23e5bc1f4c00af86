#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::text {

// As large as any that is known (119,547 pieces of a hundred languages), and as an agent hands out in one answer.
inline constexpr ByteCount longest_vocabulary = ByteCount::mib(1);

// The pieces that texts are cut into, as BERT's vocab.txt has them: one a line, whose id is the line's number counted from
// 0; a piece that goes on inside of a word begins with "##".
class Vocabulary {
 public:
  // invalid_data names the line (counted from 1) that is empty, no UTF-8 or there twice, or which of [PAD], [UNK], [CLS] and
  // [SEP] is missing. Lines may end as Windows ends them.
  [[nodiscard]] static Result<Vocabulary> parse(std::string_view text);
  // Those of a file, which errors name.
  [[nodiscard]] static Result<Vocabulary> read(const std::filesystem::path& file);

  // Nothing where there is no such piece.
  [[nodiscard]] std::optional<std::int64_t> find(std::string_view piece) const;
  [[nodiscard]] std::size_t size() const { return pieces_.size(); }
  [[nodiscard]] const std::vector<std::string>& pieces() const { return pieces_; }

  [[nodiscard]] std::int64_t padding() const { return padding_; }
  [[nodiscard]] std::int64_t unknown() const { return unknown_; }
  [[nodiscard]] std::int64_t begins() const { return begins_; }  // [CLS]
  [[nodiscard]] std::int64_t ends() const { return ends_; }      // [SEP]

 private:
  std::vector<std::string> pieces_;
  std::map<std::string, std::int64_t, std::less<>> ids_;
  std::int64_t padding_ = 0;
  std::int64_t unknown_ = 0;
  std::int64_t begins_ = 0;
  std::int64_t ends_ = 0;
};

// A file of them: one piece a line.
[[nodiscard]] std::string to_text(const std::vector<std::string>& pieces);

}  // namespace outcrop::text
