#include "trainer_host/fleet/depot/blob_store.hpp"

#include <utility>  // before Asio

#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/depot/open_blobs.hpp"
#include "trainer_host/fleet/depot/scrub.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BlobStoreTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path() / "blobs");
  std::string text_ = std::string(200'000, 'a') + std::string(100'000, 'b');
  trust::Sha256Digest digest_ = trust::sha256(text_);
  ByteCount size_{text_.size()};

  Result<ByteCount> upload(std::size_t offset, std::size_t length) {
    return store_.upload(digest_, size_, ByteCount(offset),
                         as_bytes(std::string_view(text_).substr(offset, length)));
  }
  std::size_t files() {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
};

TEST_F(BlobStoreTest, shows_a_blob_only_when_its_last_piece_is_there) {
  EXPECT_EQ(*upload(0, 150'000), ByteCount(150'000));
  EXPECT_FALSE(store_.has(digest_));
  EXPECT_EQ(store_.uploaded(digest_), ByteCount(150'000));
  EXPECT_EQ(*upload(150'000, 150'000), size_);
  EXPECT_TRUE(store_.has(digest_));
  EXPECT_EQ(store_.uploaded(digest_), size_);
  EXPECT_EQ(as_text(*store_.read(digest_, size_)), text_);
  EXPECT_EQ(files(), 1U);
  EXPECT_EQ(store_.file(digest_).parent_path().filename(), digest_.hex().substr(0, 2));
}

TEST_F(BlobStoreTest, a_damaged_blob_is_removed_when_it_is_looked_at_and_can_be_uploaded_again) {
  EXPECT_EQ(store_.check(digest_), false);
  ASSERT_THAT(upload(0, 300'000), IsOk());
  EXPECT_EQ(store_.check(digest_), true);
  std::fstream(store_.file(digest_), std::ios::in | std::ios::out).put('x');
  EXPECT_TRUE(store_.has(digest_));
  EXPECT_EQ(store_.check(digest_), false);
  EXPECT_FALSE(store_.has(digest_));
  EXPECT_EQ(store_.uploaded(digest_), ByteCount(0));
  EXPECT_EQ(*upload(0, 300'000), size_);
  EXPECT_EQ(store_.check(digest_), true);
}

TEST_F(BlobStoreTest, lists_blobs_and_not_what_is_half_here) {
  ASSERT_THAT(upload(0, 300'000), IsOk());
  const auto half = trust::sha256("half");
  ASSERT_THAT(store_.upload(half, ByteCount(4), ByteCount(0), as_bytes("ha")), IsOk());
  EXPECT_THAT(*store_.list(), ::testing::ElementsAre(digest_));
}

TEST_F(BlobStoreTest, now_and_then_all_are_read_and_the_damaged_one_is_found) {
  ASSERT_THAT(upload(0, 300'000), IsOk());
  const std::string whole = "whole";
  const auto other = trust::sha256(whole);
  ASSERT_THAT(store_.upload(other, ByteCount(5), ByteCount(0), as_bytes(whole)), IsOk());
  boost::asio::io_context io;
  const auto open_end = boost::asio::make_work_guard(io);  // while the worker reads
  boost::asio::thread_pool worker(1);
  const Scrub scrub(io.get_executor(), worker, store_, std::chrono::milliseconds(1));
  const auto run_until = [&](const std::function<bool()>& so) {
    while (!so() && io.run_one_for(std::chrono::seconds(10)) > 0) continue;
    return so();
  };
  std::fstream(store_.file(digest_), std::ios::in | std::ios::out).put('x');
  EXPECT_TRUE(run_until([&] { return !store_.has(digest_); }));
  ASSERT_THAT(upload(0, 300'000), IsOk());  // and again, in a later round
  std::fstream(store_.file(digest_), std::ios::in | std::ios::out).put('y');
  EXPECT_TRUE(run_until([&] { return !store_.has(digest_); }));
  EXPECT_TRUE(store_.has(other));
}

TEST_F(BlobStoreTest, what_is_open_is_opened_anew_once_it_was_removed_or_replaced) {
  ASSERT_THAT(upload(0, 300'000), IsOk());
  OpenBlobs open(store_);
  ASSERT_THAT(open.open(digest_), IsOk());
  fs::remove(store_.file(digest_));
  EXPECT_THAT(open.open(digest_), ErrorIs(ErrorCode::not_found, HasSubstr(digest_.hex())));
  ASSERT_THAT(upload(0, 300'000), IsOk());
  const auto again = open.open(digest_);
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(is_still((*again)->fd.get(), store_.file(digest_)));
}

TEST_F(BlobStoreTest, goes_on_with_an_upload_after_a_restart) {
  ASSERT_THAT(upload(0, 100'000), IsOk());
  BlobStore again = *BlobStore::open(folder_.path() / "blobs");
  EXPECT_EQ(again.uploaded(digest_), ByteCount(100'000));
  EXPECT_THAT(upload(100'000, 200'000), IsOk());
  EXPECT_TRUE(again.has(digest_));
}

TEST_F(BlobStoreTest, says_where_an_upload_goes_on) {
  ASSERT_THAT(upload(0, 1000), IsOk());
  EXPECT_THAT(upload(0, 1000),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("goes on at 1000, not at 0")));
  EXPECT_THAT(upload(2000, 1000),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("goes on at 1000, not at 2000")));
  EXPECT_EQ(store_.uploaded(digest_), ByteCount(1000));
}

TEST_F(BlobStoreTest, refuses_pieces_beyond_the_announced_size) {
  EXPECT_THAT(store_.upload(digest_, ByteCount(10), {}, as_bytes("eleven byte")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("beyond")));
  EXPECT_THAT(store_.upload(digest_, ByteCount(10), ByteCount(~0ULL), as_bytes("x")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("beyond")));
  EXPECT_EQ(files(), 0U);
}

TEST_F(BlobStoreTest, removes_an_upload_that_is_not_what_it_was_called) {
  text_[5] = 'x';
  EXPECT_THAT(upload(0, text_.size()),
              ErrorIs(ErrorCode::untrusted, HasSubstr(trust::sha256(text_).hex())));
  EXPECT_FALSE(store_.has(digest_));
  EXPECT_EQ(files(), 0U);
  text_[5] = 'a';
  EXPECT_THAT(upload(0, text_.size()), IsOk());
}

TEST_F(BlobStoreTest, takes_a_blob_twice_and_an_empty_one) {
  ASSERT_THAT(upload(0, text_.size()), IsOk());
  EXPECT_EQ(*upload(0, 5), size_);
  EXPECT_THAT(store_.upload(trust::sha256(""), {}, {}, {}), IsOk());
  EXPECT_TRUE(store_.has(trust::sha256("")));
}

TEST_F(BlobStoreTest, leaves_nothing_of_a_piece_that_could_not_be_written_whole) {
  ASSERT_THAT(upload(0, 100'000), IsOk());
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{150'000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto result = upload(100'000, 200'000);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(result, ErrorIs(ErrorCode::io, HasSubstr("writing")));
  EXPECT_EQ(store_.uploaded(digest_), ByteCount(100'000));
  EXPECT_THAT(upload(100'000, 200'000), IsOk());
}

TEST_F(BlobStoreTest, says_that_the_disk_is_full) {
  fs::path partial = store_.file(digest_);
  fs::create_directories(partial.parent_path());
  partial += ".part";
  fs::create_symlink("/dev/full", partial);
  EXPECT_THAT(upload(0, 1000), ErrorIs(ErrorCode::no_space, HasSubstr("writing")));
  EXPECT_THAT(upload(0, text_.size()), IsOk());
}

TEST_F(BlobStoreTest, tells_a_blob_that_the_disk_has_damaged) {
  ASSERT_THAT(upload(0, text_.size()), IsOk());
  std::fstream(store_.file(digest_)) << 'x';
  EXPECT_THAT(store_.read(digest_, size_), ErrorIs(ErrorCode::untrusted, HasSubstr("damaged")));
}

TEST_F(BlobStoreTest, has_two_workers_upload_one_blob_without_mixing_it_up) {
  const auto work = [this] {
    BlobStore store = *BlobStore::open(folder_.path() / "blobs");
    while (!store.has(digest_)) {
      const ByteCount at = store.uploaded(digest_);
      const auto piece = std::string_view(text_).substr(at.value(), 1000);
      (void)store.upload(digest_, size_, at, as_bytes(piece));  // the other may have been faster
    }
  };
  std::thread first(work);
  std::thread second(work);
  first.join();
  second.join();
  EXPECT_EQ(as_text(*store_.read(digest_, size_)), text_);
  EXPECT_EQ(files(), 1U);
}

TEST(BlobStore, says_when_its_folder_cannot_be_one) {
  const TemporaryFolder folder;
  ASSERT_THAT(write_file_durably(folder.path() / "file", "x"), IsOk());
  EXPECT_THAT(BlobStore::open(folder.path() / "file"), ErrorIs(ErrorCode::io, HasSubstr("file")));
}

TEST_F(BlobStoreTest, a_partial_file_longer_than_its_blob_blocks_nobody) {
  fs::path partial = store_.file(digest_);
  fs::create_directories(partial.parent_path());
  partial += ".part";
  ASSERT_THAT(write_file_durably(partial, std::string(text_.size() + 1000, 'x')), IsOk());
  EXPECT_EQ(store_.uploaded(digest_), ByteCount(text_.size() + 1000));
  EXPECT_THAT(upload(0, text_.size()), IsOk());
  EXPECT_TRUE(store_.has(digest_));
}

}  // namespace
}  // namespace outcrop::fleet
