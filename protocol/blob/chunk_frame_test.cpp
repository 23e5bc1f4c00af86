#include "protocol/blob/chunk_frame.hpp"

#include <gmock/gmock.h>

#include "protocol/blob/chunk_table.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::blob {
namespace {

using ::testing::HasSubstr;

const auto refused = [](std::string_view what) {
  return ErrorIs(ErrorCode::invalid_data, HasSubstr(std::string(what)));
};

ChunkRequest example() {
  return {0x01020304, trust::sha256("blob"), {0, 7, 0xffffffff}};
}

std::string frame_of(ChunkAnswer answer, std::string_view depot, std::string_view chunk) {
  return frame_header({5, 6, answer, depot, {}}) + std::string(chunk);
}

TEST(ChunkRequest, is_laid_out_as_the_schema_says) {
  const std::string bytes = encode(example());
  EXPECT_EQ(bytes.substr(0, 8), "OCRQ\x04\x03\x02\x01");
  EXPECT_EQ(bytes.substr(8, 32), as_text(example().blob.bytes()));
  EXPECT_EQ(bytes.substr(40), std::string("\0\0\0\0\7\0\0\0\xff\xff\xff\xff", 12));
}

TEST(ChunkRequest, comes_back_as_it_was) {
  const auto back = decode_chunk_request(encode(example()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, example());
}

TEST(ChunkRequest, takes_1_to_64_indexes) {
  ChunkRequest request = example();
  request.indexes.assign(64, 3);
  EXPECT_THAT(decode_chunk_request(encode(request)), IsOk());
  request.indexes.assign(65, 3);
  EXPECT_THAT(decode_chunk_request(encode(request)), refused("44 to 296"));
  request.indexes.clear();
  EXPECT_THAT(decode_chunk_request(encode(request)), refused("44 to 296"));
}

TEST(ChunkRequest, refuses_every_cut_and_other_first_bytes) {
  const std::string whole = encode(example());
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (length == 44 || length == 48) continue;  // a request for fewer
    EXPECT_THAT(decode_chunk_request(whole.substr(0, length)), refused("not")) << length;
  }
  std::string other = whole;
  other[3] = 'K';
  EXPECT_THAT(decode_chunk_request(other), refused("OCRQ"));
  EXPECT_THAT(decode_chunk_request(std::string(10 << 20, 'x')), refused("bytes"));
}

TEST(ChunkFrame, is_laid_out_as_the_schema_says) {
  EXPECT_EQ(frame_of(ChunkAnswer::data, "depot-1", "chunk"),
            std::string("OCCK\5\0\0\0\6\0\0\0\0\7\0\0depot-1chunk", 28));
}

TEST(ChunkFrame, is_a_view_of_the_message) {
  const std::string message = frame_of(ChunkAnswer::data, "d", std::string(65536, 'x'));
  const auto frame = decode_chunk_frame(message);
  ASSERT_THAT(frame, IsOk());
  EXPECT_EQ(frame->transfer, 5U);
  EXPECT_EQ(frame->index, 6U);
  EXPECT_EQ(frame->depot, "d");
  EXPECT_EQ(as_text(frame->chunk).data(), message.data() + 17);
  EXPECT_EQ(frame->chunk.size(), 65536U);
}

TEST(ChunkFrame, carries_bytes_only_with_data) {
  for (const auto answer :
       {ChunkAnswer::no_such_blob, ChunkAnswer::no_such_chunk, ChunkAnswer::later}) {
    EXPECT_THAT(decode_chunk_frame(frame_of(answer, "d", "")), IsOk());
    EXPECT_THAT(decode_chunk_frame(frame_of(answer, "d", "x")), refused("at most 0"));
  }
  EXPECT_THAT(decode_chunk_frame(frame_of(ChunkAnswer::data, "d", std::string(65537, 'x'))),
              refused("at most 65536"));
}

TEST(ChunkFrame, refuses_every_cut_before_the_chunk) {
  const std::string whole = frame_of(ChunkAnswer::data, "depot", "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_THAT(decode_chunk_frame(whole.substr(0, length)), refused("chunk frame")) << length;
  }
}

TEST(ChunkFrame, refuses_names_that_could_not_stand_in_a_topic) {
  for (const std::string_view name : {"a/b", "+", "#", "A", "a b", "", "\n"}) {
    EXPECT_THAT(decode_chunk_frame(frame_of(ChunkAnswer::data, name, "x")), refused("names"));
  }
  EXPECT_THAT(decode_chunk_frame(frame_of(ChunkAnswer::data, std::string(63, 'a'), "")), IsOk());
  EXPECT_THAT(decode_chunk_frame(frame_of(ChunkAnswer::data, std::string(64, 'a'), "")),
              refused("names"));
}

TEST(ChunkFrame, refuses_what_no_depot_writes) {
  std::string other = frame_of(ChunkAnswer::data, "d", "x");
  other[12] = 4;
  EXPECT_THAT(decode_chunk_frame(other), refused("byte 12"));
  other = frame_of(ChunkAnswer::data, "d", "x");
  other[15] = 1;
  EXPECT_THAT(decode_chunk_frame(other), refused("14 and 15"));
  other = frame_of(ChunkAnswer::data, "d", "x");
  other[0] = 'X';
  EXPECT_THAT(decode_chunk_frame(other), refused("OCCK"));
}

}  // namespace
}  // namespace outcrop::blob
