#include "runtime/text/words.hpp"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace outcrop::text {
namespace {

constexpr UChar32 replacement = 0xFFFD;

bool is_space(UChar32 c) {
  return c == '\t' || c == '\n' || c == '\r' || u_isUWhiteSpace(c) != 0;
}

// Controls, formats, private use; what later versions of Unicode may assign stays.
bool is_control(UChar32 c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto category = u_charType(c);
  return category == U_CONTROL_CHAR || category == U_FORMAT_CHAR || category == U_PRIVATE_USE_CHAR;
}

bool is_ideograph(UChar32 c) {
  static constexpr std::array<std::pair<UChar32, UChar32>, 8> blocks{{{0x4E00, 0x9FFF},
                                                                      {0x3400, 0x4DBF},
                                                                      {0x20000, 0x2A6DF},
                                                                      {0x2A700, 0x2B73F},
                                                                      {0x2B740, 0x2B81F},
                                                                      {0x2B820, 0x2CEAF},
                                                                      {0xF900, 0xFAFF},
                                                                      {0x2F800, 0x2FA1F}}};
  return std::any_of(blocks.begin(), blocks.end(),
                     [&](const auto& block) { return c >= block.first && c <= block.second; });
}

bool is_punctuation(UChar32 c) {
  if (c < 0x80) return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
  return (U_GET_GC_MASK(c) & U_GC_P_MASK) != 0;
}

icu::UnicodeString cleaned(std::string_view text) {
  icu::UnicodeString clean;
  const auto* data = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int64_t>(text.size());
  for (std::int64_t at = 0; at < size;) {
    UChar32 c = 0;
    U8_NEXT_OR_FFFD(data, at, size, c);
    if (c == 0 || c == replacement || is_control(c)) continue;
    if (is_space(c)) {
      clean.append(u' ');
    } else if (is_ideograph(c)) {
      clean.append(u' ').append(c).append(u' ');
    } else {
      clean.append(c);
    }
  }
  return clean;
}

icu::UnicodeString lowered(const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* decompose = icu::Normalizer2::getNFDInstance(status);
  if (U_FAILURE(status)) throw std::runtime_error(std::string("ICU: ") + u_errorName(status));
  const icu::UnicodeString apart = decompose->normalize(text, status);
  if (U_FAILURE(status)) throw std::runtime_error(std::string("ICU: ") + u_errorName(status));
  icu::UnicodeString small;
  for (std::int32_t at = 0; at < apart.length(); at = apart.moveIndex32(at, 1)) {
    const UChar32 c = apart.char32At(at);
    if (u_charType(c) != U_NON_SPACING_MARK) small.append(u_tolower(c));
  }
  return small;
}

}  // namespace

std::vector<std::string> words_of(std::string_view text, Letters letters) {
  icu::UnicodeString clean = cleaned(text);
  if (letters == Letters::lowered) clean = lowered(clean);
  std::vector<std::string> words;
  icu::UnicodeString word;
  const auto end_word = [&] {
    if (word.isEmpty()) return;
    word.toUTF8String(words.emplace_back());
    word.remove();
  };
  for (std::int32_t at = 0; at < clean.length(); at = clean.moveIndex32(at, 1)) {
    const UChar32 c = clean.char32At(at);
    if (is_space(c)) {
      end_word();
    } else if (is_punctuation(c)) {
      end_word();
      word.append(c);
      end_word();
    } else {
      word.append(c);
    }
  }
  end_word();
  return words;
}

}  // namespace outcrop::text
