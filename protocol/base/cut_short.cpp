#include "protocol/base/cut_short.hpp"

namespace outcrop {

std::string cut_short(std::string_view text, std::size_t bytes) {
  constexpr std::string_view more = "...";
  constexpr std::size_t longest_word = 40;  // what is longer is no word: a digest, a path
  if (text.size() <= bytes) return std::string(text);
  std::size_t end = bytes - more.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  const std::size_t space = text.rfind(' ', end);
  if (space != std::string_view::npos && end - space <= longest_word) end = space;
  return std::string(text.substr(0, end)) + std::string(more);
}

}  // namespace outcrop
