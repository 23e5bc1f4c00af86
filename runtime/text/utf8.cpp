#include "runtime/text/utf8.hpp"

#include <unicode/utf8.h>

#include <cstdint>

namespace outcrop::text {

std::optional<std::size_t> first_invalid(std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const auto size = static_cast<std::int64_t>(bytes.size());
  for (std::int64_t at = 0; at < size;) {
    const std::int64_t begin = at;
    UChar32 character = 0;
    U8_NEXT(data, at, size, character);
    if (character < 0) return static_cast<std::size_t>(begin);
  }
  return std::nullopt;
}

}  // namespace outcrop::text
