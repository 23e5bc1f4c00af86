#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"

namespace outcrop::data {

// An IDX file of unsigned bytes.
inline std::string idx_text(const std::vector<std::uint32_t>& shape,
                            const std::vector<std::uint8_t>& values) {
  std::string text("\0\0\x08", 3);
  text += static_cast<char>(shape.size());
  for (const std::uint32_t extent : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(extent >> shift & 0xff);
  }
  text.append(values.begin(), values.end());
  return text;
}

inline Status write_gzip(const std::filesystem::path& path, const std::string& text) {
  gzFile file = ::gzopen(path.c_str(), "wb");
  if (file == nullptr) return fail(ErrorCode::io, path.string());
  const int written = ::gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  if (::gzclose(file) != Z_OK || written != static_cast<int>(text.size())) {
    return fail(ErrorCode::io, path.string());
  }
  return {};
}

// `part` is "train" or "t10k".
inline Status write_idx_images(const std::filesystem::path& folder, const std::string& part,
                               std::uint32_t side, const std::vector<std::uint8_t>& pixels,
                               const std::vector<std::uint8_t>& labels) {
  std::filesystem::create_directories(folder);
  const auto count = static_cast<std::uint32_t>(labels.size());
  OUTCROP_CHECK(write_file_durably(folder / (part + "-images-idx3-ubyte"),
                                   idx_text({count, side, side}, pixels)));
  return write_file_durably(folder / (part + "-labels-idx1-ubyte"), idx_text({count}, labels));
}

}  // namespace outcrop::data
