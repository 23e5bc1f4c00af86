#pragma once

#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::analyze {

inline constexpr int transfer_level = 9;  // of zstd: what a release would be packed with once

// How many bytes a file takes packed by Zstandard (RFC 8878): what a transfer of it could come to. Nothing is
// written.
[[nodiscard]] Result<ByteCount> transfer_size(const std::filesystem::path& file);

}  // namespace outcrop::analyze
