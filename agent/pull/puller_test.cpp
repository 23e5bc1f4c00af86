#include "agent/pull/puller.hpp"

#include <utility>  // before Asio

#include <algorithm>
#include <cerrno>
#include <deque>
#include <future>

#include <gmock/gmock.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "agent/wait/signal.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/blob/chunk_frame.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/fake_session.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/sync_spy.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using blob::ChunkAnswer;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::SizeIs;
using transport::Delivery;
using transport::Message;
namespace topics = transport::topics;
namespace fs = std::filesystem;
namespace asio = boost::asio;

constexpr std::size_t chunk = 65536;

std::string content(std::size_t size) {
  std::string text(size, '\0');
  std::uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

// Answers requests as the test says.
class ScriptedDepot {
 public:
  ScriptedDepot(transport::FakeNetwork& network, std::string name, const std::string& text)
      : session_(network.session()), name_(std::move(name)), text_(text) {
    session_->start({.connected = [this] { subscribe(); },
                     .lost = {},
                     .message = [this](const Message& message) { receive(message); }});
  }

  // What is sent for an index that was asked for; nothing: the chunk of `text`.
  std::function<std::vector<std::string>(std::uint32_t transfer, std::uint32_t index)> answer;
  bool dead = false;
  std::vector<std::string> topics_asked;
  std::vector<std::uint32_t> asked;  // all indexes, in order
  std::uint32_t last_transfer = 0;

  [[nodiscard]] std::string frame(std::uint32_t transfer, std::uint32_t index) const {
    return blob::frame_header({transfer, index, ChunkAnswer::data, name_, {}}) +
           text_.substr(index * chunk, chunk);
  }
  [[nodiscard]] std::string frame(std::uint32_t transfer, std::uint32_t index,
                                  ChunkAnswer what) const {
    return blob::frame_header({transfer, index, what, name_, {}});
  }
  void send(std::string payload) {
    session_->publish({topics::receive("pi-1"), std::move(payload)}, Delivery::at_least_once,
                      [](const Status&) {});
  }

 private:
  void subscribe() {
    for (const auto& filter : {topics::request("+"), topics::request("+", name_)}) {
      session_->subscribe(filter, Delivery::at_least_once, [](const Status&) {});
    }
  }
  void receive(const Message& message) {
    if (dead) return;
    const auto request = blob::decode_chunk_request(message.payload);
    ASSERT_THAT(request, IsOk());
    topics_asked.push_back(message.topic);
    last_transfer = request->transfer;
    for (const std::uint32_t index : request->indexes) {
      asked.push_back(index);
      if (!answer) {
        send(frame(request->transfer, index));
        continue;
      }
      for (std::string& payload : answer(request->transfer, index)) send(std::move(payload));
    }
  }

  std::unique_ptr<transport::FakeSession> session_;
  std::string name_;
  const std::string& text_;
};

class PullerTest : public ::testing::Test {
 protected:
  PullerTest() {
    board_->start({.connected =
                       [this] {
                         board_->subscribe(topics::receive("pi-1"), Delivery::at_least_once,
                                           [](const Status&) {});
                         if (puller_) puller_->on_connected();
                       },
                   .lost =
                       [this](const Error&) {
                         if (puller_) puller_->on_lost();
                       },
                   .message =
                       [this](const Message& message) {
                         received_ += message.payload.size();
                         if (puller_) puller_->on_frame(message.payload);
                       }});
    poll();
  }

  void poll() {
    io_.restart();
    io_.poll();
  }
  bool until(const std::function<bool()>& so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!so() && std::chrono::steady_clock::now() < end) {
      io_.restart();
      io_.run_one_for(std::chrono::milliseconds(5));
    }
    return so();
  }

  using Outcome = std::optional<Result<StagedBlob>>;
  static asio::awaitable<void> keep(asio::awaitable<Result<StagedBlob>> pull, Outcome& outcome) {
    try {
      Result<StagedBlob> result = co_await std::move(pull);
      outcome = std::move(result);
    } catch (const Cancelled&) {
      outcome = fail(ErrorCode::interrupted, "cancelled");
    }
  }
  void start() {
    Puller::Progress progress = [this](ByteCount done, ByteCount) {
      progress_ = done.value();
      return progress_ < most_ ? Status() : fail(ErrorCode::refused, "that is enough");
    };
    auto pull = puller_->pull(table_, partial_, budget_, std::move(progress), stop_.get_token());
    asio::co_spawn(io_, keep(std::move(pull), result_), asio::detached);
  }
  void start_small(trust::Sha256Digest digest, std::size_t size) {
    asio::co_spawn(io_,
                   keep(puller_->pull_small(digest, ByteCount(size), partial_, budget_), result_),
                   asio::detached);
  }
  Result<StagedBlob> finish() {
    until([this] { return result_.has_value(); });
    return result_.value_or(fail(ErrorCode::timeout, "the pull did not end"));
  }
  Result<StagedBlob> pull() {
    start();
    return finish();
  }
  Result<StagedBlob> pull_small() {
    start_small(table_.blob, text_.size());
    return finish();
  }
  std::string file() { return *read_text_file(partial_); }
  void take_for_silence(std::chrono::milliseconds silence) {
    puller_ = std::make_unique<Puller>(io_.get_executor(), *board_, "pi-1",
                                       PullOptions{.silence = silence, .longest_silence = 4 * silence});
    puller_->on_connected();
  }

  TemporaryFolder folder_;
  fs::path partial_ = folder_.path() / "blob.part";
  std::string text_ = content(40 * chunk + 100);
  blob::ChunkTable table_ = blob::make_chunk_table(as_bytes(text_));
  Puller::Budget budget_{ByteCount::mib(8)};
  Outcome result_;
  std::stop_source stop_;
  std::uint64_t progress_ = 0;
  std::uint64_t most_ = ~std::uint64_t{};
  std::size_t received_ = 0;
  asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> board_ = network_.session();
  // So patient that whoever counts requests has no slow machine taken for a silent depot.
  std::unique_ptr<Puller> puller_ =
      std::make_unique<Puller>(io_.get_executor(), *board_, "pi-1", PullOptions{.silence = std::chrono::seconds(20)});
  ScriptedDepot depot_{network_, "depot-1", text_};
};

TEST_F(PullerTest, fetches_a_blob_each_chunk_once_and_in_order) {
  const auto staged = pull();
  ASSERT_THAT(staged, IsOk());
  EXPECT_EQ(staged->file(), partial_);
  EXPECT_EQ(staged->digest(), table_.blob);
  EXPECT_EQ(staged->size(), ByteCount(text_.size()));
  EXPECT_TRUE(file() == text_);
  EXPECT_EQ(progress_, text_.size());
  EXPECT_THAT(depot_.asked, SizeIs(41));
  EXPECT_TRUE(std::is_sorted(depot_.asked.begin(), depot_.asked.end()));
  EXPECT_EQ(budget_.left.value() + received_, ByteCount::mib(8).value());
}

TEST_F(PullerTest, asks_the_depot_that_answered) {
  ASSERT_THAT(pull(), IsOk());
  EXPECT_EQ(depot_.topics_asked.front(), topics::request("pi-1"));
  depot_.topics_asked.erase(depot_.topics_asked.begin());
  EXPECT_THAT(depot_.topics_asked, Each(topics::request("pi-1", "depot-1")));
}

TEST_F(PullerTest, has_at_most_8_chunks_on_their_way) {
  depot_.answer = [](auto, auto) { return std::vector<std::string>{}; };
  std::size_t answered = 0;
  start();
  while (answered < 41 && until([&] { return depot_.asked.size() > answered; })) {
    poll();
    EXPECT_LE(depot_.asked.size() - answered, 8U);
    depot_.send(depot_.frame(depot_.last_transfer, depot_.asked[answered++]));
    poll();
  }
  EXPECT_THAT(finish(), IsOk());
}

TEST_F(PullerTest, asks_only_for_the_rest_after_a_kill) {
  std::string there = text_.substr(0, 20 * chunk + 77);
  there[5 * chunk + 3] ^= 1;
  ASSERT_THAT(write_file_durably(partial_, there), IsOk());
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_EQ(depot_.asked.size(), 22U);
  EXPECT_EQ(depot_.asked[0], 5U);
  EXPECT_EQ(depot_.asked[1], 20U);
}

TEST_F(PullerTest, asks_for_nothing_where_all_is_there_and_cuts_off_what_is_too_much) {
  ASSERT_THAT(write_file_durably(partial_, text_ + "more"), IsOk());
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_EQ(depot_.asked.size(), 0U);
}

// A window's worth comes at once: 8 of 40 chunks.
TEST_F(PullerTest, takes_no_more_a_second_than_it_may) {
  std::uint64_t told = 0;
  puller_ = std::make_unique<Puller>(io_.get_executor(), *board_, "pi-1",
                                     PullOptions{.silence = std::chrono::milliseconds(100),
                                                 .most_a_second = ByteCount::mib(4),
                                                 .received = [&](ByteCount bytes) { told += bytes.value(); }});
  puller_->on_connected();
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_THAT(pull(), IsOk());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(32 * 1000 / 64));
  EXPECT_TRUE(file() == text_);
  EXPECT_THAT(depot_.asked, SizeIs(41)) << "a pause is no silence";
  EXPECT_EQ(told, received_);
}

TEST_F(PullerTest, fetches_an_empty_blob) {
  text_.clear();
  table_ = blob::make_chunk_table({});
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file().empty());
}

TEST_F(PullerTest, asks_again_for_what_gets_lost_on_the_way) {
  take_for_silence(std::chrono::milliseconds(20));
  int count = 0;
  network_.tamper = [&](Message message) {
    return ++count % 5 == 0 ? std::vector<Message>{} : std::vector{std::move(message)};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
}

TEST_F(PullerTest, takes_chunks_in_any_order) {
  take_for_silence(std::chrono::milliseconds(20));
  std::vector<Message> kept;
  network_.tamper = [&](Message message) {
    kept.push_back(std::move(message));
    if (kept.size() < 3) return std::vector<Message>{};
    std::reverse(kept.begin(), kept.end());
    return std::exchange(kept, {});
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
}

TEST_F(PullerTest, ignores_repeats_but_counts_them) {
  network_.tamper = [](Message message) {
    return std::vector<Message>(message.topic == topics::receive("pi-1") ? 2 : 1, message);
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_THAT(depot_.asked, SizeIs(41));
  EXPECT_LE(budget_.left.value() + 2 * (text_.size() - chunk), ByteCount::mib(8).value());
}

TEST_F(PullerTest, ends_endless_chunks_with_the_byte_budget) {
  budget_.left = ByteCount(text_.size() + 1000);
  std::size_t sent = 0;
  depot_.answer = [&](std::uint32_t transfer, auto) {
    std::vector<std::string> flood;
    for (int i = 0; i < 100; ++i) flood.push_back(depot_.frame(transfer, 0));
    sent += flood.size();
    return flood;
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::refused, HasSubstr("byte budget is used up")));
  EXPECT_EQ(budget_.left, ByteCount(0));
  EXPECT_LE(fs::file_size(partial_), text_.size());
}

TEST_F(PullerTest, ends_frames_of_nobodys_transfer_with_the_byte_budget) {
  budget_.left = ByteCount(text_.size() + 1000);
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    std::vector<std::string> flood(50, depot_.frame(transfer + 1, index));
    for (int i = 0; i < 50; ++i) flood.push_back("noise");
    return flood;
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::refused, HasSubstr("byte budget")));
}

TEST_F(PullerTest, does_not_start_what_the_byte_budget_cannot_end) {
  budget_.left = ByteCount(text_.size() - 1);
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::refused, HasSubstr("leaves 2621539")));
  EXPECT_EQ(depot_.asked.size(), 0U);
}

TEST_F(PullerTest, survives_malformed_frames) {
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    const std::string good = depot_.frame(transfer, index);
    std::string other = good;
    other[12] = 9;
    return std::vector<std::string>{"", "OCCK", good.substr(0, 16), other, good};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
}

TEST_F(PullerTest, finds_a_wrong_chunk_by_its_digest_and_asks_again) {
  int wrong = 0;
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    std::string frame = depot_.frame(transfer, index);
    if (index % 10 == 3 && wrong++ < 6) frame.back() ^= 1;
    return std::vector{frame};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_THAT(depot_.asked, SizeIs(47));
}

TEST_F(PullerTest, gives_up_a_depot_that_sends_wrong_chunks_only) {
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    std::string frame = depot_.frame(transfer, index);
    if (index == 7) frame.pop_back();
    return std::vector{frame};
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::untrusted,
                              AllOf(HasSubstr("33 chunks came wrong"), HasSubstr("depot-1"))));
  EXPECT_LE(depot_.asked.size(), 41U + 33U);
}

TEST_F(PullerTest, gives_up_chunks_that_the_blob_does_not_have) {
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    std::vector<std::string> frames;
    for (std::uint32_t i = 0; i < 40; ++i) {
      frames.push_back(depot_.frame(transfer, 41 + i, ChunkAnswer::no_such_chunk));
      frames.push_back(blob::frame_header({transfer, ~index, ChunkAnswer::data, "depot-1", {}}));
    }
    return frames;
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::untrusted, HasSubstr("wrong")));
}

TEST_F(PullerTest, asks_ten_times_for_a_blob_that_no_depot_has) {
  take_for_silence(std::chrono::milliseconds(20));
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    return std::vector{depot_.frame(transfer, index, ChunkAnswer::no_such_blob)};
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::not_found, HasSubstr(table_.blob.hex())));
  EXPECT_THAT(depot_.asked, SizeIs(10));
  EXPECT_THAT(depot_.topics_asked, Each(topics::request("pi-1")));
}

TEST_F(PullerTest, waits_for_a_depot_that_cannot_serve_it_yet) {
  take_for_silence(std::chrono::milliseconds(150));
  int count = 0;
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    if (++count < 5) return std::vector{depot_.frame(transfer, index, ChunkAnswer::later)};
    return std::vector{depot_.frame(transfer, index)};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_THAT(depot_.asked, SizeIs(45));
}

TEST_F(PullerTest, turns_to_another_depot_when_its_own_is_silent) {
  take_for_silence(std::chrono::milliseconds(20));
  ScriptedDepot other(network_, "depot-2", text_);
  other.dead = true;
  poll();
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    if (index == 20) {
      depot_.dead = true;
      other.dead = false;
    }
    return std::vector{depot_.frame(transfer, index)};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_EQ(other.topics_asked.front(), topics::request("pi-1"));
  EXPECT_EQ(other.topics_asked.back(), topics::request("pi-1", "depot-2"));
}

TEST_F(PullerTest, goes_on_where_a_lost_connection_stopped_it) {
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    if (depot_.asked.size() == 20) board_->break_off();
    return std::vector{depot_.frame(transfer, index)};
  };
  start();
  ASSERT_TRUE(until([&] { return !board_->connected(); }));
  poll();
  const std::uint64_t here = progress_;
  const std::size_t asked = depot_.asked.size();
  const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  until([&] { return std::chrono::steady_clock::now() > later; });
  EXPECT_EQ(depot_.asked.size(), asked) << "asked without a connection";
  board_->come_back();
  EXPECT_THAT(finish(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_EQ(depot_.asked.size(), asked + 41 - here / chunk) << "only what was on its way again";
}

TEST_F(PullerTest, starts_when_a_connection_comes) {
  board_->break_off();
  start();
  poll();
  board_->come_back();
  EXPECT_THAT(finish(), IsOk());
}

TEST_F(PullerTest, does_not_flood_a_link_that_is_slower_than_its_patience) {
  take_for_silence(std::chrono::milliseconds(20));
  asio::steady_timer link(io_);
  std::deque<std::string> queue;
  std::function<void()> next = [&] {
    if (queue.empty()) return;
    link.expires_after(std::chrono::milliseconds(50));
    link.async_wait([&](const boost::system::error_code& error) {
      if (error) return;
      depot_.send(std::move(queue.front()));
      queue.pop_front();
      next();
    });
  };
  text_.resize(20 * chunk);
  table_ = blob::make_chunk_table(as_bytes(text_));
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    queue.push_back(depot_.frame(transfer, index));
    if (queue.size() == 1) next();
    return std::vector<std::string>{};
  };
  EXPECT_THAT(pull(), IsOk());
  EXPECT_LE(depot_.asked.size(), 25U) << "asked for too soon, while chunks were on their way";
}

TEST_F(PullerTest, says_that_the_disk_is_full) {
  fs::create_symlink("/dev/full", partial_);
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::no_space, HasSubstr("blob.part")));
}

TEST_F(PullerTest, says_that_it_cannot_write_at_all) {
  partial_ = folder_.path() / "missing" / "blob.part";
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::not_found, HasSubstr("blob.part")));
}

TEST_F(PullerTest, keeps_what_is_here_when_cancelled) {
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    if (index == 20) stop_.request_stop();
    return std::vector{depot_.frame(transfer, index)};
  };
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::interrupted, HasSubstr("cancelled")));
  EXPECT_GE(fs::file_size(partial_), 10 * chunk);
  depot_.answer = nullptr;
  depot_.asked.clear();
  result_.reset();
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::interrupted, HasSubstr("cancelled")));
  EXPECT_THAT(depot_.asked, SizeIs(0)) << "nobody wants it any more";
  result_.reset();
  stop_ = std::stop_source();
  EXPECT_THAT(pull(), IsOk()) << "a cancelled pull must not end the next one";
  EXPECT_LE(depot_.asked.size(), 31U);
  EXPECT_TRUE(file() == text_);
}

// The disk takes seconds; what it then says is no news of whatever took the place of this pull.
TEST_F(PullerTest, cancelled_while_it_is_written_down_says_nothing_of_the_disk) {
  std::promise<void> at_work;
  std::promise<void> goes_on;
  const SyncSpy disk(folder_.path(), [&](const SyncSpy::Sync&) {
    at_work.set_value();
    goes_on.get_future().wait();
    return EIO;
  });
  start();
  std::future<void> syncs = at_work.get_future();
  ASSERT_TRUE(until([&] { return syncs.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }));
  stop_.request_stop();
  goes_on.set_value();
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::interrupted, HasSubstr("cancelled")));
}

TEST_F(PullerTest, ends_with_its_owner_while_it_hashes_what_is_here) {
  ASSERT_THAT(write_file_durably(partial_, text_.substr(0, 20 * chunk)), IsOk());
  start();
  io_.restart();
  io_.run_one();  // it begins
  puller_.reset();
  board_.reset();
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::interrupted, HasSubstr("ended with the agent")));
}

TEST_F(PullerTest, ends_with_what_whoever_follows_it_says) {
  most_ = 20 * chunk;
  EXPECT_THAT(pull(), ErrorIs(ErrorCode::refused, HasSubstr("that is enough")));
  EXPECT_LE(depot_.asked.size(), 30U);
  EXPECT_GE(fs::file_size(partial_), 10 * chunk);
}

TEST_F(PullerTest, ends_with_its_owner) {
  depot_.dead = true;
  start();
  poll();
  puller_.reset();
  board_.reset();
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::interrupted, HasSubstr("ended with the agent")));
}

TEST_F(PullerTest, pulls_one_blob_at_a_time) {
  depot_.dead = true;
  start();
  poll();
  Outcome second;
  asio::co_spawn(io_,
                 keep(puller_->pull_small(table_.blob, table_.size, partial_, budget_), second),
                 asio::detached);
  until([&] { return second.has_value(); });
  EXPECT_THAT(*second, ErrorIs(ErrorCode::already_exists, HasSubstr("another")));
  stop_.request_stop();
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::interrupted, HasSubstr("cancelled")));
}

TEST_F(PullerTest, checks_a_small_blob_as_a_whole) {
  EXPECT_THAT(pull_small(), IsOk());
  EXPECT_TRUE(file() == text_);
  result_.reset();
  depot_.asked.clear();
  EXPECT_THAT(pull_small(), IsOk()) << "it is there already";
  EXPECT_EQ(depot_.asked.size(), 0U);
}

TEST_F(PullerTest, starts_a_small_blob_over_that_came_wrong) {
  ASSERT_THAT(write_file_durably(partial_, std::string(text_.size(), 'x')), IsOk());
  int wrong = 2;
  depot_.answer = [&](std::uint32_t transfer, std::uint32_t index) {
    std::string frame = depot_.frame(transfer, index);
    if (index == 11 && wrong-- > 0) frame.back() ^= 1;
    return std::vector{frame};
  };
  EXPECT_THAT(pull_small(), IsOk());
  EXPECT_TRUE(file() == text_);
  EXPECT_THAT(depot_.asked, SizeIs(3 * 41));
}

TEST_F(PullerTest, gives_up_a_small_blob_that_is_always_wrong) {
  start_small(trust::sha256("other"), text_.size());
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::untrusted, HasSubstr("3 times")));
  result_.reset();
  budget_.left = ByteCount::mib(8);
  start_small(table_.blob, text_.size() - 1);
  EXPECT_THAT(finish(), ErrorIs(ErrorCode::untrusted, HasSubstr("33 chunks came wrong")));
}

}  // namespace
}  // namespace outcrop::agent
