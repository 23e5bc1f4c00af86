#include "agent/deploy/fetch.hpp"

#include <future>

#include <gmock/gmock.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "agent/wait/signal.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/blob/chunk_frame.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/fake_session.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace asio = boost::asio;
namespace topics = transport::topics;
using transport::Delivery;
using transport::Message;

// A board and a depot that has every blob it was given.
class FetcherTest : public ::testing::Test {
 protected:
  FetcherTest() {
    board_->start({.connected =
                       [this] {
                         board_->subscribe(topics::receive("pi-1"), Delivery::at_least_once,
                                           [](const Status&) {});
                         puller_.on_connected();
                       },
                   .lost = {},
                   .message = [this](const Message& m) { puller_.on_frame(m.payload); }});
    depot_->start(
        {.connected =
             [this] {
               for (const auto& filter : {topics::request("+"), topics::request("+", "depot-1")}) {
                 depot_->subscribe(filter, Delivery::at_least_once, [](const Status&) {});
               }
             },
         .lost = {},
         .message = [this](const Message& message) { answer(message.payload); }});
  }

  void answer(std::string_view payload) {
    const auto request = blob::decode_chunk_request(payload);
    ASSERT_THAT(request, IsOk());
    asked_.push_back(request->blob);
    for (const std::uint32_t index : request->indexes) {
      depot_->publish(
          {topics::receive("pi-1"),
           blob::frame_header({request->transfer, index, blob::ChunkAnswer::data, "depot-1", {}}) +
               blobs_.at(request->blob)},
          Delivery::at_least_once, [](const Status&) {});
    }
  }
  // Of less than one chunk.
  messages::BlobReference add(const std::string& bytes) {
    const blob::ChunkTable table = blob::make_chunk_table(as_bytes(bytes));
    const std::string encoded(as_text(blob::encode(table)));
    blobs_[table.blob] = bytes;
    blobs_[trust::sha256(encoded)] = encoded;
    return {table.blob, table.size, trust::sha256(encoded)};
  }
  messages::Manifest manifest() {
    messages::Manifest manifest;
    manifest.golden.input = add("in");
    manifest.golden.output = add("out");
    messages::Variant variant;
    variant.name = "float";
    variant.blob = add("model");
    manifest.variants.push_back(variant);
    return manifest;
  }
  void fetch(const messages::Manifest& manifest) {
    fetched_.reset();
    asio::co_spawn(
        io_,
        [](FetcherTest* test, messages::Manifest what) -> asio::awaitable<void> {
          const std::vector<std::string> variants{"float"};
          Puller::Progress follow = [test](ByteCount done, ByteCount) {
            return done < test->most_ ? Status() : fail(ErrorCode::refused, "that is enough");
          };
          try {
            Status fetched = co_await test->fetcher_.blobs(what, variants, test->budget_, std::move(follow),
                                                           test->stop_.get_token());
            test->fetched_ = std::move(fetched);
          } catch (const Cancelled&) {
            test->fetched_ = fail(ErrorCode::interrupted, "cancelled");
          }
        }(this, manifest),
        asio::detached);
  }
  bool until(const std::function<bool()>& so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!so() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(5));
    }
    return so();
  }

  TemporaryFolder folder_;
  asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> board_ = network_.session();
  std::unique_ptr<transport::FakeSession> depot_ = network_.session();
  std::map<trust::Sha256Digest, std::string> blobs_;
  std::vector<trust::Sha256Digest> asked_;
  Puller puller_{io_.get_executor(), *board_, "pi-1"};
  Slots slots_ = Slots::open(folder_.path() / "releases", ByteCount(0));
  Worker worker_{io_.get_executor()};
  Fetcher fetcher_{puller_, slots_, worker_};
  Puller::Budget budget_{ByteCount::mib(1)};
  std::stop_source stop_;
  ByteCount most_ = ByteCount::mib(1);
  std::optional<Status> fetched_;
};

TEST_F(FetcherTest, brings_what_is_missing) {
  const messages::Manifest release = manifest();
  fetch(release);
  ASSERT_TRUE(until([&] { return fetched_.has_value(); }));
  EXPECT_THAT(*fetched_, IsOk());
  EXPECT_TRUE(slots_.has(release.variants[0].blob.sha256));
}

TEST_F(FetcherTest, wants_no_room_for_what_lies_here_of_a_transfer_that_was_cut_off) {
  const messages::BlobReference big{trust::sha256("big"), ByteCount(1'000'000),
                                    trust::sha256("table")};
  EXPECT_EQ(room_wanted(slots_, {big}), big.size);
  const std::filesystem::path partial = slots_.partial_file(big.sha256);
  ASSERT_THAT(write_file_durably(partial, std::string(500'000, 'x')), IsOk());
  EXPECT_LE(room_wanted(slots_, {big}), ByteCount(500'000));
  // Chunks that are still to come leave holes, which take no room yet.
  std::filesystem::resize_file(partial, 1'000'000);
  EXPECT_GT(room_wanted(slots_, {big}), ByteCount(400'000));
  ASSERT_THAT(write_file_durably(partial, std::string(1'000'000, 'x')), IsOk());
  EXPECT_EQ(room_wanted(slots_, {big}), ByteCount(0));
}

TEST_F(FetcherTest, asks_for_no_further_blob_once_whoever_follows_it_has_enough) {
  most_ = ByteCount(2);  // the first blob, whose only chunk is its last
  fetch(manifest());
  ASSERT_TRUE(until([&] { return fetched_.has_value(); }));
  EXPECT_THAT(*fetched_, ErrorIs(ErrorCode::refused, ::testing::HasSubstr("that is enough")));
  EXPECT_EQ(asked_.size(), 2U) << "a chunk table and its blob";
}

TEST_F(FetcherTest, asks_for_no_further_blob_after_a_cancel_while_one_is_verified) {
  const messages::Manifest release = manifest();
  std::promise<void> disk;
  worker_.post([waits = disk.get_future().share()] { waits.wait(); }, nullptr);
  fetch(release);
  // The first chunk table has come and waits to be verified.
  ASSERT_TRUE(until([&] { return !asked_.empty(); }));
  until([end = std::chrono::steady_clock::now() + std::chrono::milliseconds(100)] {
    return std::chrono::steady_clock::now() > end;
  });
  ASSERT_EQ(asked_.size(), 1U);
  stop_.request_stop();
  disk.set_value();
  ASSERT_TRUE(until([&] { return fetched_.has_value(); }));
  EXPECT_THAT(*fetched_, ErrorIs(ErrorCode::interrupted, ::testing::HasSubstr("cancelled")));
  EXPECT_EQ(asked_.size(), 1U);
  stop_ = std::stop_source();
  fetch(release);
  ASSERT_TRUE(until([&] { return fetched_.has_value(); }));
  EXPECT_THAT(*fetched_, IsOk());
}

}  // namespace
}  // namespace outcrop::agent
