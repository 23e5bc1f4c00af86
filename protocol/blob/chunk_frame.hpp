#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::blob {

// What travels between a board and a depot (SCHEMA.md, "Transfer").

inline constexpr std::size_t most_indexes = 64;  // in one request

struct ChunkRequest {
  std::uint32_t transfer = 0;
  trust::Sha256Digest blob;
  std::vector<std::uint32_t> indexes;  // 1 to most_indexes
  bool operator==(const ChunkRequest&) const = default;
};

[[nodiscard]] std::string encode(const ChunkRequest& request);
// invalid_data where length or first bytes are not those of a request.
[[nodiscard]] Result<ChunkRequest> decode_chunk_request(std::string_view payload);

enum class ChunkAnswer : std::uint8_t {
  data = 0,
  no_such_blob = 1,
  no_such_chunk = 2,
  later = 3,  // ask again after a while
};

// A view: `depot` and `chunk` lie in the message that was decoded.
struct ChunkFrame {
  std::uint32_t transfer = 0;
  std::uint32_t index = 0;
  ChunkAnswer answer = ChunkAnswer::data;
  std::string_view depot;  // [a-z0-9-]{1,63}
  BytesView chunk;         // at most chunk_size; empty unless data
};

// All of a frame but the chunk, which its maker reads straight into the room behind it.
[[nodiscard]] std::string frame_header(const ChunkFrame& frame);
// invalid_data for anything but a frame: a depot's name that could not stand in a topic, an answer
// without a name, bytes where none belong.
[[nodiscard]] Result<ChunkFrame> decode_chunk_frame(std::string_view payload);

}  // namespace outcrop::blob
