#include "protocol/blob/chunk_table.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::blob {
namespace {

using ::testing::HasSubstr;

Bytes content(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + i / 65536);
  return bytes;
}

Result<ChunkTable> read_back(const Bytes& encoded, const ChunkTable& table) {
  const auto verified = trust::verify_bytes(encoded, trust::sha256(BytesView(encoded)));
  return decode_chunk_table(*verified, table.blob, table.size);
}

TEST(ChunkTable, covers_every_byte_of_blobs_of_any_size) {
  for (const std::size_t size : {0, 1, 65535, 65536, 65537, 200'000}) {
    const Bytes blob = content(size);
    const ChunkTable table = make_chunk_table(blob);
    EXPECT_EQ(table.chunks.size(), (size + 65535) / 65536);
    std::size_t covered = 0;
    for (std::size_t i = 0; i < table.chunks.size(); ++i) {
      EXPECT_TRUE(table.matches(i, BytesView(blob).subspan(covered, table.size_of(i).value())));
      covered += table.size_of(i).value();
    }
    EXPECT_EQ(covered, size);
    const Bytes encoded = encode(table);
    EXPECT_EQ(ByteCount(encoded.size()), table_size(ByteCount(size)));
    const auto back = read_back(encoded, table);
    ASSERT_THAT(back, IsOk());
    EXPECT_EQ(*back, table);
  }
}

TEST(ChunkTable, tells_a_wrong_chunk) {
  const Bytes blob = content(70'000);
  const ChunkTable table = make_chunk_table(blob);
  Bytes chunk(blob.begin(), blob.begin() + 65536);
  chunk[5] ^= std::byte{1};
  EXPECT_FALSE(table.matches(0, chunk));
  EXPECT_FALSE(table.matches(1, BytesView(blob).first(65536))) << "right bytes, wrong place";
  EXPECT_FALSE(table.matches(2, {}));
}

TEST(ChunkTable, refuses_another_blobs_table_and_wrong_lengths) {
  const ChunkTable table = make_chunk_table(content(70'000));
  Bytes encoded = encode(table);
  ChunkTable other = table;
  other.blob = trust::sha256("other");
  EXPECT_THAT(read_back(encoded, other), ErrorIs(ErrorCode::invalid_data, HasSubstr("header")));
  other = table;
  other.size = ByteCount(70'001);
  EXPECT_THAT(read_back(encoded, other), ErrorIs(ErrorCode::invalid_data, HasSubstr("header")));
  encoded.pop_back();
  EXPECT_THAT(read_back(encoded, table), ErrorIs(ErrorCode::invalid_data, HasSubstr("bytes")));
}

}  // namespace
}  // namespace outcrop::blob
