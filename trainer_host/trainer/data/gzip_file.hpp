#pragma once

#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::data {

// More than any data set of images that is held in memory as a whole.
inline constexpr ByteCount most_unpacked = ByteCount::mib(8192);

// A whole file, unpacked where it is a gzip file (RFC 1952), whatever its name. invalid_data where it is
// no regular file, a gzip file that is cut short or damaged (its checksum is compared), or unpacks to more
// than `limit`: no more than that is ever held.
[[nodiscard]] Result<Bytes> read_unpacked(const std::filesystem::path& path, ByteCount limit);

}  // namespace outcrop::data
