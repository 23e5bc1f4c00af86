#include "protocol/blob/chunk_frame.hpp"

#include <algorithm>

#include "protocol/blob/chunk_table.hpp"

namespace outcrop::blob {
namespace {

constexpr std::string_view request_magic = "OCRQ";
constexpr std::string_view frame_magic = "OCCK";
constexpr std::size_t request_header = 40;
constexpr std::size_t frame_fixed = 16;  // before the depot's name
constexpr std::size_t longest_name = 63;

void append_u32(std::string& text, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint32_t u32_at(std::string_view bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[offset + i])) << (8 * i);
  }
  return value;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

}  // namespace

std::string encode(const ChunkRequest& request) {
  std::string text(request_magic);
  text.reserve(request_header + 4 * request.indexes.size());
  append_u32(text, request.transfer);
  text += as_text(request.blob.bytes());
  for (const std::uint32_t index : request.indexes) append_u32(text, index);
  return text;
}

Result<ChunkRequest> decode_chunk_request(std::string_view payload) {
  const std::size_t most = request_header + 4 * most_indexes;
  if (payload.size() <= request_header || payload.size() > most || payload.size() % 4 != 0) {
    return fail(ErrorCode::invalid_data, "a chunk request has 44 to 296 bytes, in fours, not " +
                                             std::to_string(payload.size()));
  }
  if (!payload.starts_with(request_magic)) {
    return fail(ErrorCode::invalid_data, "a chunk request starts with OCRQ");
  }
  OUTCROP_TRY(blob, trust::Sha256Digest::from_bytes(
                        as_bytes(payload.substr(8, trust::Sha256Digest::size))));
  ChunkRequest request{u32_at(payload, 4), blob, {}};
  request.indexes.reserve((payload.size() - request_header) / 4);
  for (std::size_t at = request_header; at < payload.size(); at += 4) {
    request.indexes.push_back(u32_at(payload, at));
  }
  return request;
}

std::string frame_header(const ChunkFrame& frame) {
  std::string text(frame_magic);
  text.reserve(frame_fixed + frame.depot.size() + frame.chunk.size());
  append_u32(text, frame.transfer);
  append_u32(text, frame.index);
  text.push_back(static_cast<char>(frame.answer));
  text.push_back(static_cast<char>(frame.depot.size()));
  text.append(2, '\0');
  text += frame.depot;
  return text;
}

Result<ChunkFrame> decode_chunk_frame(std::string_view payload) {
  if (payload.size() <= frame_fixed || !payload.starts_with(frame_magic)) {
    return fail(ErrorCode::invalid_data, "a chunk frame starts with OCCK and has 17 bytes or more");
  }
  const auto answer = static_cast<unsigned char>(payload[12]);
  if (answer > static_cast<unsigned char>(ChunkAnswer::later)) {
    return fail(ErrorCode::invalid_data, "a chunk frame's byte 12 is 0 to 3");
  }
  if (payload[14] != 0 || payload[15] != 0) {
    return fail(ErrorCode::invalid_data, "a chunk frame's bytes 14 and 15 are 0");
  }
  const std::size_t length = static_cast<unsigned char>(payload[13]);
  ChunkFrame frame{u32_at(payload, 4),
                   u32_at(payload, 8),
                   static_cast<ChunkAnswer>(answer),
                   payload.substr(frame_fixed, length),
                   {}};
  if (frame.depot.size() != length || !is_name(frame.depot)) {
    return fail(ErrorCode::invalid_data,
                "a chunk frame names its depot with 1 to 63 of a-z, 0-9 and -");
  }
  frame.chunk = as_bytes(payload.substr(frame_fixed + length));
  const std::size_t most = frame.answer == ChunkAnswer::data ? chunk_size.value() : 0;
  if (frame.chunk.size() > most) {
    return fail(ErrorCode::invalid_data, "a chunk frame of this kind carries at most " +
                                             std::to_string(most) + " bytes, not " +
                                             std::to_string(frame.chunk.size()));
  }
  return frame;
}

}  // namespace outcrop::blob
