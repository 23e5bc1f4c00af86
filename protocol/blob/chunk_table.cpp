#include "protocol/blob/chunk_table.hpp"

#include <algorithm>
#include <string_view>

namespace outcrop::blob {
namespace {

constexpr std::string_view magic = "OCCHUNK1";
constexpr std::size_t header_size = 64;

void append_integer(Bytes& bytes, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
}

void append(Bytes& bytes, BytesView more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

Bytes header_of(const trust::Sha256Digest& blob, ByteCount size) {
  Bytes header;
  header.reserve(header_size);
  append(header, as_bytes(magic));
  append_integer(header, size.value(), 8);
  append_integer(header, chunk_size.value(), 4);
  append_integer(header, 0, 4);
  append(header, blob.bytes());
  append_integer(header, 0, 8);
  return header;
}

}  // namespace

std::uint64_t chunk_count(ByteCount blob_size) {
  return blob_size.value() / chunk_size.value() + (blob_size.value() % chunk_size.value() ? 1 : 0);
}

ByteCount table_size(ByteCount blob_size) {
  return ByteCount(header_size + chunk_count(blob_size) * trust::Sha256Digest::size);
}

ByteCount ChunkTable::size_of(std::size_t index) const {
  if (index >= chunks.size()) return {};
  const std::uint64_t start = index * chunk_size.value();
  return ByteCount(std::min(chunk_size.value(), size.value() - start));
}

bool ChunkTable::matches(std::size_t index, BytesView chunk) const {
  return index < chunks.size() && chunk.size() == size_of(index).value() &&
         trust::sha256(chunk) == chunks[index];
}

ChunkTable make_chunk_table(BytesView blob) {
  ChunkTable table{trust::sha256(blob), ByteCount(blob.size()), {}};
  table.chunks.reserve(chunk_count(table.size));
  while (!blob.empty()) {
    const std::size_t length = std::min<std::size_t>(chunk_size.value(), blob.size());
    table.chunks.push_back(trust::sha256(blob.first(length)));
    blob = blob.subspan(length);
  }
  return table;
}

Bytes encode(const ChunkTable& table) {
  Bytes bytes = header_of(table.blob, table.size);
  bytes.reserve(table_size(table.size).value());
  for (const trust::Sha256Digest& chunk : table.chunks) append(bytes, chunk.bytes());
  return bytes;
}

Result<ChunkTable> decode_chunk_table(const trust::VerifiedBlob& bytes,
                                      const trust::Sha256Digest& blob, ByteCount blob_size) {
  BytesView rest = bytes.bytes();
  if (rest.size() != table_size(blob_size).value()) {
    return fail(ErrorCode::invalid_data, "the chunk table of a blob of " +
                                             std::to_string(blob_size.value()) + " bytes has " +
                                             std::to_string(table_size(blob_size).value()) +
                                             " bytes, not " + std::to_string(rest.size()));
  }
  // There is one header for a blob: compare instead of parsing.
  if (!std::ranges::equal(rest.first(header_size), header_of(blob, blob_size))) {
    return fail(ErrorCode::invalid_data,
                "the chunk table's header is not that of blob " + blob.hex());
  }
  ChunkTable table{blob, blob_size, {}};
  for (rest = rest.subspan(header_size); !rest.empty();
       rest = rest.subspan(trust::Sha256Digest::size)) {
    OUTCROP_TRY(digest, trust::Sha256Digest::from_bytes(rest.first(trust::Sha256Digest::size)));
    table.chunks.push_back(digest);
  }
  return table;
}

}  // namespace outcrop::blob
