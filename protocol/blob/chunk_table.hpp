#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"

namespace outcrop::blob {

inline constexpr ByteCount chunk_size = ByteCount::kib(64);

// The digests of a blob's chunks (SCHEMA.md, "Chunk table"), so that a transfer that was cut off
// goes on where it stopped and a wrong chunk is found when it arrives, not at the end.
struct ChunkTable {
  trust::Sha256Digest blob;
  ByteCount size;
  std::vector<trust::Sha256Digest> chunks;
  bool operator==(const ChunkTable&) const = default;

  // Bytes in the chunk of that index; 0 beyond the last.
  [[nodiscard]] ByteCount size_of(std::size_t index) const;
  // Whether these bytes are the chunk of that index.
  [[nodiscard]] bool matches(std::size_t index, BytesView chunk) const;
};

// Number of chunks of a blob of that size, and bytes that its table takes.
[[nodiscard]] std::uint64_t chunk_count(ByteCount blob_size);
[[nodiscard]] ByteCount table_size(ByteCount blob_size);

[[nodiscard]] ChunkTable make_chunk_table(BytesView blob);

[[nodiscard]] Bytes encode(const ChunkTable& table);

// Parses verified bytes only, and checks that the table is that of the blob named. invalid_data
// where header, length or blob do not agree.
[[nodiscard]] Result<ChunkTable> decode_chunk_table(const trust::VerifiedBlob& bytes,
                                                    const trust::Sha256Digest& blob,
                                                    ByteCount blob_size);

}  // namespace outcrop::blob
