#include "trainer_host/trainer/weights/stored_zip.hpp"

#include <gmock/gmock.h>

#include <limits>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/weights/zip_for_tests.hpp"

namespace outcrop::weights {
namespace {

using ::testing::HasSubstr;

auto damaged(const char* why) {
  return ErrorIs(ErrorCode::invalid_data, HasSubstr(why));
}

TEST(StoredZip, gives_entries_as_pieces_of_the_file) {
  for (const bool zip64 : {false, true}) {
    const std::string file = zip_of({{"a/one", "1"}, {"a/none", ""}, {"a/two", "two"}}, {.zip64 = zip64});
    const auto zip = StoredZip::open(as_bytes(file));
    ASSERT_THAT(zip, IsOk());
    EXPECT_EQ(zip->entries().size(), 3U);
    EXPECT_EQ(as_text(*zip->read("a/two")), "two");
    EXPECT_EQ(as_text(*zip->read("a/none")), "");
    EXPECT_THAT(zip->read("a/three"), damaged("'a/three' is missing"));
  }
}

TEST(StoredZip, refuses_every_cut_and_what_stands_behind_the_end) {
  for (const bool zip64 : {false, true}) {
    const std::string file = zip_of({{"a/one", "1"}, {"a/two", "two"}}, {.zip64 = zip64});
    for (std::size_t length = 0; length < file.size(); ++length) {
      EXPECT_THAT(StoredZip::open(as_bytes(file.substr(0, length))), damaged("zip archive")) << length;
    }
    EXPECT_THAT(StoredZip::open(as_bytes(file + "x")), damaged("something follows it"));
  }
}

TEST(StoredZip, refuses_what_two_readers_could_read_differently) {
  const std::vector<std::pair<std::string, std::string>> entries{{"a/one", "1"}, {"a/two", "two"}};
  const auto with = [&](const ZipTricks& tricks) {
    static std::string file;  // outlives what is read from it
    file = zip_of(entries, tricks);
    return StoredZip::open(as_bytes(file));
  };
  const auto compressed = with({.method = 8});
  ASSERT_THAT(compressed, IsOk());
  EXPECT_THAT(compressed->read("a/one"), damaged("'a/one' is compressed"));
  EXPECT_THAT(with({.flags = 1}), damaged("'a/one' is encrypted"));
  EXPECT_THAT(with({.local_prefix = "x"}), damaged("is another entry before its data"));
  EXPECT_THAT(with({.same_offset = true}), damaged("is another entry before its data"));
  EXPECT_THAT(with({.more_size = 1000}), damaged("'a/two' lies outside"));
  EXPECT_THAT(with({.zip64 = true, .wide_size = std::numeric_limits<std::uint64_t>::max()}),
              damaged("'a/two' lies outside"));
  EXPECT_THAT(StoredZip::open(as_bytes(zip_of({{"a", "1"}, {"a", "2"}}))), damaged("'a' is there twice"));
  EXPECT_THAT(StoredZip::open(as_bytes(zip_of({{"a/../../b", "1"}}))), damaged("no name inside"));
  EXPECT_THAT(StoredZip::open(as_bytes(zip_of({{"/a", "1"}}))), damaged("no name inside"));
  std::string two_ends = zip_of(entries, {.zip64 = true});
  two_ends[two_ends.size() - 12] = 1;  // entries, by the plain end record
  EXPECT_THAT(StoredZip::open(as_bytes(two_ends)), damaged("two end records say two things"));
  // One entry inside of the other's data.
  const std::string inner = zip_of({{"b", "1"}});
  std::string file = zip_of({{"a", inner}, {"b", "1"}});
  const std::size_t inside = file.find(std::string("PK\x03\x04", 4), 1);
  const std::size_t listed = file.rfind(std::string("PK\x01\x02", 4));
  file[listed + 42] = static_cast<char>(inside);
  file[listed + 43] = file[listed + 44] = file[listed + 45] = 0;
  EXPECT_THAT(StoredZip::open(as_bytes(file)), damaged("overlap"));
}

TEST(StoredZip, compares_checksums_where_it_reads) {
  const std::string file = zip_of({{"a", "1"}}, {.more_checksum = 1});
  const auto zip = StoredZip::open(as_bytes(file));
  ASSERT_THAT(zip, IsOk());
  EXPECT_THAT(zip->read("a"), damaged("'a' is damaged"));
}

}  // namespace
}  // namespace outcrop::weights
