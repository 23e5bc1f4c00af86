#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::trust {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view digest_of_abc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, gives_the_digest_of_fips_180_4) {
  EXPECT_EQ(sha256("abc").hex(), digest_of_abc);
  Sha256Hasher hasher;
  for (const char* piece : {"a", "", "bc"}) hasher.update(as_bytes(piece));
  EXPECT_EQ(hasher.finish().hex(), digest_of_abc);
  hasher.update(as_bytes("abc"));
  EXPECT_EQ(hasher.finish().hex(), digest_of_abc) << "a hasher starts anew";
}

TEST(Sha256, has_one_spelling) {
  EXPECT_EQ(Sha256Digest::from_hex(digest_of_abc)->hex(), digest_of_abc);
  EXPECT_FALSE(
      Sha256Digest::from_hex("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
  EXPECT_FALSE(Sha256Digest::from_hex(digest_of_abc.substr(2)));
}

class VerifiedBlobTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "blob";
  void write(std::string_view text) { ASSERT_TRUE(write_file_durably(path_, text)); }
};

TEST_F(VerifiedBlobTest, holds_what_was_hashed_even_if_the_file_changes) {
  write("abc");
  const auto blob = verify_blob(path_, sha256("abc"), ByteCount(3));
  ASSERT_THAT(blob, IsOk());
  write("xyz");
  EXPECT_EQ(as_text(blob->bytes()), "abc");
  EXPECT_EQ(blob->size(), ByteCount(3));
}

TEST_F(VerifiedBlobTest, refuses_another_digest_or_length) {
  write("abc");
  EXPECT_THAT(verify_blob(path_, sha256("abd"), ByteCount(3)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("digest")));
  EXPECT_THAT(verify_blob(path_, sha256("abc"), ByteCount(4)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("length is 3")));
  EXPECT_THAT(verify_blob(folder_.path() / "none", sha256("abc"), ByteCount(3)),
              ErrorIs(ErrorCode::not_found, HasSubstr("none")));
}

TEST_F(VerifiedBlobTest, cannot_be_changed_through_its_descriptor) {
  write("abc");
  const auto blob = verify_blob(path_, sha256("abc"), ByteCount(3));
  ASSERT_THAT(blob, IsOk());
  EXPECT_EQ(::pwrite(blob->fd(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(blob->fd(), 0), -1);
  EXPECT_EQ(::mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, blob->fd(), 0), MAP_FAILED);
  const std::string again = "/proc/self/fd/" + std::to_string(blob->fd());
  const UniqueFd writable(::open(again.c_str(), O_RDWR | O_CLOEXEC));
  if (writable) {
    EXPECT_EQ(::pwrite(writable.get(), "x", 1, 0), -1);
  }
  EXPECT_EQ(as_text(blob->bytes()), "abc");
}

TEST_F(VerifiedBlobTest, does_not_wait_for_a_pipe_in_a_blobs_place) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(verify_blob(path_, sha256("abc"), ByteCount(3)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("regular file")));
  EXPECT_THAT(sha256_file(path_), ErrorIs(ErrorCode::invalid_data, HasSubstr("regular file")));
}

TEST_F(VerifiedBlobTest, may_be_empty_and_moves) {
  auto empty = verify_bytes({}, sha256(""));
  ASSERT_THAT(empty, IsOk());
  EXPECT_EQ(empty->size(), ByteCount(0));
  auto blob = verify_bytes(as_bytes("abc"), sha256("abc"));
  ASSERT_THAT(blob, IsOk());
  *empty = std::move(*blob);
  EXPECT_EQ(as_text(empty->bytes()), "abc");
}

}  // namespace
}  // namespace outcrop::trust
