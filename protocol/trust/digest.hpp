#pragma once

#include <array>
#include <compare>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::trust {

// A SHA-256 digest (FIPS 180-4): 32 bytes, written as 64 lower-case hexadecimal digits.
class Sha256Digest {
 public:
  static constexpr std::size_t size = 32;

  // The all-zero digest, which no known input has.
  constexpr Sha256Digest() = default;
  constexpr explicit Sha256Digest(const std::array<std::byte, size>& bytes) : bytes_(bytes) {}

  // invalid_data unless `text` is exactly 64 lower-case hexadecimal digits.
  [[nodiscard]] static Result<Sha256Digest> from_hex(std::string_view text);
  // invalid_data unless there are exactly 32 bytes.
  [[nodiscard]] static Result<Sha256Digest> from_bytes(BytesView bytes);

  [[nodiscard]] std::string hex() const;
  // The first 12 digits: what people are shown, and what commands take in its place.
  [[nodiscard]] std::string short_hex() const;
  [[nodiscard]] BytesView bytes() const { return bytes_; }

  auto operator<=>(const Sha256Digest&) const = default;

 private:
  std::array<std::byte, size> bytes_{};
};

// Hashes a stream piece by piece. Not for use from several threads at once.
// A failure of OpenSSL here (no memory for a context) ends the process: a digest that could be
// missing would be a digest that could be skipped.
class Sha256Hasher {
 public:
  Sha256Hasher();

  void update(BytesView bytes);
  // The digest of all that was given, after which the hasher starts anew.
  [[nodiscard]] Sha256Digest finish();

 private:
  struct FreeContext {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, FreeContext> context_;
};

[[nodiscard]] Sha256Digest sha256(BytesView bytes);
[[nodiscard]] inline Sha256Digest sha256(std::string_view text) {
  return sha256(as_bytes(text));
}

// The digest of a file's content, read once from start to end.
[[nodiscard]] Result<Sha256Digest> sha256_file(const std::filesystem::path& path);

}  // namespace outcrop::trust

template <>
struct std::hash<outcrop::trust::Sha256Digest> {
  std::size_t operator()(const outcrop::trust::Sha256Digest& digest) const noexcept;
};
