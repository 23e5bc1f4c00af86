#include "trainer_host/fleet/depot/depot.hpp"

#include <gmock/gmock.h>

#include "protocol/blob/chunk_frame.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/fake_session.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

#include <boost/asio/io_context.hpp>

namespace outcrop::fleet {
namespace {

using blob::ChunkAnswer;
using transport::Delivery;
using transport::Message;
namespace topics = transport::topics;

struct Frame {
  std::string device;
  std::uint32_t transfer;
  std::uint32_t index;
  ChunkAnswer answer;
  std::string depot;
  std::string chunk;
};

class DepotTest : public ::testing::Test {
 protected:
  DepotTest() {
    put(content_);
    depot_ = std::make_unique<Depot>(*host_, store_, "depot-1");
    host_->start({.connected = [this] { depot_->on_connected(); },
                  .lost = [this](const Error&) { depot_->on_lost(); },
                  .message = [this](const Message& message) { depot_->on_message(message); }});
    boards_->start({.connected =
                        [this] {
                          boards_->subscribe(topics::receive("+"), Delivery::at_least_once,
                                             [](const Status&) {});
                        },
                    .lost = {},
                    .message = [this](const Message& message) { receive(message); }});
    run();
  }

  void put(std::string_view text) {
    ASSERT_THAT(
        store_.upload(trust::sha256(text), ByteCount(text.size()), ByteCount(0), as_bytes(text)),
        IsOk());
  }
  void receive(const Message& message) {
    const auto frame = blob::decode_chunk_frame(message.payload);
    ASSERT_THAT(frame, IsOk());
    const std::string device = message.topic.substr(13, message.topic.find('/', 13) - 13);
    frames_.push_back({device, frame->transfer, frame->index, frame->answer,
                       std::string(frame->depot), std::string(as_text(frame->chunk))});
  }
  void ask(const std::string& topic, const trust::Sha256Digest& digest,
           std::vector<std::uint32_t> indexes) {
    send(topic, encode(blob::ChunkRequest{9, digest, std::move(indexes)}));
  }
  void send(const std::string& topic, std::string payload) {
    boards_->publish({topic, std::move(payload)}, Delivery::at_least_once, [](const Status&) {});
    run();
  }
  void run() {
    io_.restart();
    io_.poll();
  }

  TemporaryFolder folder_;
  BlobStore store_ = *BlobStore::open(folder_.path());
  std::string content_ = std::string(65536, 'a') + std::string(65536, 'b') + "end";
  trust::Sha256Digest digest_ = trust::sha256(content_);
  boost::asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> host_ = network_.session();
  std::unique_ptr<transport::FakeSession> boards_ = network_.session();
  std::unique_ptr<Depot> depot_;
  std::vector<Frame> frames_;
};

TEST_F(DepotTest, sends_each_chunk_to_the_board_that_asked) {
  ask(topics::request("pi-1"), digest_, {2, 0});
  ASSERT_EQ(frames_.size(), 2U);
  EXPECT_EQ(frames_[0].device, "pi-1");
  EXPECT_EQ(frames_[0].transfer, 9U);
  EXPECT_EQ(frames_[0].index, 2U);
  EXPECT_EQ(frames_[0].answer, ChunkAnswer::data);
  EXPECT_EQ(frames_[0].depot, "depot-1");
  EXPECT_EQ(frames_[0].chunk, "end");
  EXPECT_EQ(frames_[1].chunk, content_.substr(0, 65536));
  EXPECT_EQ(depot_->statistics().chunks, 2U);
  EXPECT_EQ(depot_->statistics().bytes, 65539U);
}

TEST_F(DepotTest, answers_what_is_meant_for_it_and_not_for_another) {
  ask(topics::request("pi-1", "depot-1"), digest_, {1});
  EXPECT_EQ(frames_.size(), 1U);
  depot_->on_message(
      {topics::request("pi-1", "depot-2"), encode(blob::ChunkRequest{9, digest_, {1}})});
  run();
  EXPECT_EQ(frames_.size(), 1U);
  EXPECT_FALSE(depot_->on_message({topics::status("pi-1"), "{}"}));
}

TEST_F(DepotTest, says_once_that_it_does_not_have_a_blob) {
  ask(topics::request("pi-1"), trust::sha256("nothing"), {0, 1, 2, 3});
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_EQ(frames_[0].answer, ChunkAnswer::no_such_blob);
  EXPECT_EQ(depot_->statistics().refused, 1U);
}

TEST_F(DepotTest, says_that_there_is_no_such_chunk) {
  ask(topics::request("pi-1"), digest_, {3, 0xffffffff, 0});
  ASSERT_EQ(frames_.size(), 3U);
  EXPECT_EQ(frames_[0].answer, ChunkAnswer::no_such_chunk);
  EXPECT_EQ(frames_[1].answer, ChunkAnswer::no_such_chunk);
  EXPECT_EQ(frames_[2].answer, ChunkAnswer::data);
}

TEST_F(DepotTest, counts_requests_that_are_none) {
  send(topics::request("pi-1"), "");
  send(topics::request("pi-1"), std::string(10 << 20, 'x'));
  send(topics::request("Not-a-name"), encode(blob::ChunkRequest{9, digest_, {0}}));
  EXPECT_EQ(frames_.size(), 0U);
  EXPECT_EQ(depot_->statistics().refused, 3U);
}

TEST_F(DepotTest, has_at_most_16_publishes_on_their_way_and_is_fair) {
  const std::string blob(40 * 65536, 'x');
  put(blob);
  host_->hold_acknowledgements();
  std::vector<std::uint32_t> many(40);
  for (std::uint32_t i = 0; i < many.size(); ++i) many[i] = i;
  ask(topics::request("greedy"), trust::sha256(blob), many);
  EXPECT_EQ(frames_.size(), 16U);
  ask(topics::request("modest"), trust::sha256(blob), {5});
  EXPECT_EQ(frames_.size(), 16U);
  std::size_t acknowledged = 0;
  while (host_->unacknowledged() > 0) {
    EXPECT_LE(host_->unacknowledged(), 16U);
    host_->acknowledge();
    ++acknowledged;
    run();
    if (acknowledged == 2) {
      EXPECT_EQ(frames_.back().device, "modest");
    }
  }
  EXPECT_EQ(frames_.size(), 41U);
}

TEST_F(DepotTest, forgets_what_boards_wait_for_with_the_connection) {
  const std::string blob(40 * 65536, 'x');
  put(blob);
  host_->hold_acknowledgements();
  std::vector<std::uint32_t> many(40);
  for (std::uint32_t i = 0; i < many.size(); ++i) many[i] = i;
  ask(topics::request("pi-1"), trust::sha256(blob), many);
  host_->break_off();
  host_->come_back();
  run();
  while (host_->unacknowledged() > 0) host_->acknowledge();
  run();
  EXPECT_EQ(frames_.size(), 16U);
}

TEST_F(DepotTest, may_go_before_its_publishes_are_acknowledged) {
  host_->hold_acknowledgements();
  ask(topics::request("pi-1"), digest_, {0, 1, 2});
  depot_.reset();
  while (host_->unacknowledged() > 0) host_->acknowledge();
}

TEST_F(DepotTest, tells_of_a_board_that_asks_without_end_and_serves_the_others) {
  std::vector<std::string> told;
  depot_->on_flood([&](const std::string& device) { told.push_back(device); });
  const Message request{topics::request("pi-1"), encode(blob::ChunkRequest{9, digest_, {0}}), false};
  for (int i = 0; i < 200'000 && told.empty(); ++i) EXPECT_TRUE(depot_->on_message(request));
  EXPECT_EQ(told, std::vector<std::string>{"pi-1"});
  run();
  frames_.clear();
  ask(topics::request("pi-2"), digest_, {1});
  ASSERT_EQ(frames_.size(), 1U);
  EXPECT_EQ(frames_[0].device, "pi-2");
  EXPECT_GT(depot_->sent_of_late().at("pi-1"), depot_->sent_of_late().at("pi-2"));
  depot_->forget_sent("pi-1");
  EXPECT_FALSE(depot_->sent_of_late().contains("pi-1"));
  EXPECT_GT(depot_->sent_of_late().at("pi-2"), 0U);
}

}  // namespace
}  // namespace outcrop::fleet
