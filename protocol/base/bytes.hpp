#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outcrop {

using Bytes = std::vector<std::byte>;
using BytesView = std::span<const std::byte>;

[[nodiscard]] inline BytesView as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] Bytes to_bytes(std::string_view text);

// A size in bytes, so that it is never taken for a count or a duration.
class ByteCount {
 public:
  constexpr ByteCount() = default;
  constexpr explicit ByteCount(std::uint64_t bytes) : bytes_(bytes) {}
  static constexpr ByteCount kib(std::uint64_t n) { return ByteCount(n << 10); }
  static constexpr ByteCount mib(std::uint64_t n) { return ByteCount(n << 20); }

  [[nodiscard]] constexpr std::uint64_t value() const { return bytes_; }
  auto operator<=>(const ByteCount&) const = default;

  // "640 B", "1.4 MB": decimal units, as disks and network figures are quoted.
  [[nodiscard]] std::string human() const;

 private:
  std::uint64_t bytes_ = 0;
};

}  // namespace outcrop
