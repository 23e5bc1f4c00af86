// A board pulls from a depot through a real broker, each in its own process, and one of the three
// is killed on the way.

#include <signal.h>

#include <algorithm>
#include <sstream>

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/child_process.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/test_broker.hpp"
#include "tests/support/transfer_roles.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop {
namespace {

constexpr std::size_t chunk = 65536;
constexpr std::uint64_t chunks = 512;  // 32 MiB
constexpr std::uint64_t middle = 200;
constexpr std::uint64_t window = 8;

Bytes content() {
  Bytes bytes((chunks - 1) * chunk + 1000);
  std::uint32_t state = 7;
  for (std::byte& b : bytes) {
    state = state * 1664525 + 1013904223;
    b = static_cast<std::byte>(state >> 24);
  }
  return bytes;
}

struct Pulled {
  std::string error;
  std::uint64_t frames = 0;
};

class TransferTest : public ::testing::Test {
 protected:
  TransferTest() {
    auto store = fleet::BlobStore::open(folder_.path() / "blobs");
    EXPECT_THAT(store->upload(table_.blob, table_.size, {}, blob_), IsOk());
  }

  std::unique_ptr<ChildProcess> start_depot() {
    auto depot = std::make_unique<ChildProcess>([this](int talk) -> int {
      serve_blobs(broker_.session("host"), folder_.path() / "blobs",
                  [talk] { say_line(talk, "ready"); });
    });
    EXPECT_EQ(depot->hear(), "ready");
    return depot;
  }
  // `at_middle` is run in the board's process after that many chunks.
  std::unique_ptr<ChildProcess> start_board(const std::function<void(int talk)>& at_middle) {
    return std::make_unique<ChildProcess>([this, at_middle](int talk) {
      PullTask task{broker_.session("pi-1"), "pi-1", table_, partial_, ByteCount::mib(40), {}};
      task.progress = [&](std::uint64_t here) {
        if (here == middle && at_middle) at_middle(talk);
      };
      const PullFigures figures = pull_blob(task);
      say_line(talk, std::to_string(figures.frames) + " " + figures.error);
      return 0;
    });
  }
  static Pulled finish(ChildProcess& board) {
    const auto line = board.hear();
    if (!line) return {"the board ended with status " + std::to_string(board.wait()), 0};
    Pulled pulled;
    std::istringstream text(*line);
    text >> pulled.frames;
    std::getline(text >> std::ws, pulled.error);
    EXPECT_EQ(board.wait(), 0);
    return pulled;
  }
  // The board stops in the middle until it is told to go on.
  static void pause(int talk) {
    say_line(talk, "middle");
    static_cast<void>(hear_line(talk));
  }
  bool arrived() {
    const auto bytes = read_file(partial_, ByteCount::mib(64));
    return bytes && std::ranges::equal(*bytes, blob_);
  }

  TemporaryFolder folder_;
  std::filesystem::path partial_ = folder_.path() / "blob.part";
  Bytes blob_ = content();
  blob::ChunkTable table_ = blob::make_chunk_table(blob_);
  TestBroker broker_;
};

TEST_F(TransferTest, brings_every_chunk_once) {
  const auto depot = start_depot();
  const auto board = start_board({});
  const Pulled pulled = finish(*board);
  EXPECT_EQ(pulled.error, "");
  EXPECT_EQ(pulled.frames, chunks);
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, goes_on_after_the_broker_was_killed) {
  const auto depot = start_depot();
  const auto board = start_board(pause);
  ASSERT_EQ(board->hear(), "middle");
  broker_.kill();
  broker_.start();
  board->say("go on");
  const Pulled pulled = finish(*board);
  EXPECT_EQ(pulled.error, "");
  EXPECT_LE(pulled.frames, chunks + window);
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, goes_on_after_the_depot_was_killed) {
  auto depot = start_depot();
  const auto board = start_board(pause);
  ASSERT_EQ(board->hear(), "middle");
  depot->kill();
  depot = start_depot();
  board->say("go on");
  const Pulled pulled = finish(*board);
  EXPECT_EQ(pulled.error, "");
  EXPECT_LE(pulled.frames, chunks + window);
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, goes_on_after_the_board_was_killed) {
  const auto depot = start_depot();
  EXPECT_EQ(start_board([](int) { ::raise(SIGKILL); })->wait(), 128 + SIGKILL);
  EXPECT_EQ(std::filesystem::file_size(partial_), middle * chunk);
  const Pulled pulled = finish(*start_board({}));
  EXPECT_EQ(pulled.error, "");
  EXPECT_EQ(pulled.frames, chunks - middle) << "nothing that was on the disk came again";
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, waits_for_a_broker_and_a_depot_that_come_later) {
  broker_.kill();
  const auto board = start_board({});
  broker_.start();
  const auto depot = start_depot();
  EXPECT_EQ(finish(*board).error, "");
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, goes_on_when_a_broker_that_hung_wakes_up) {
  const auto depot = start_depot();
  const auto board = start_board([](int talk) { say_line(talk, "middle"); });
  ASSERT_EQ(board->hear(), "middle");
  broker_.suspend();
  ::usleep(1'500'000);  // longer than the board's patience: it asks again into the silence
  broker_.resume();
  const Pulled pulled = finish(*board);
  EXPECT_EQ(pulled.error, "");
  EXPECT_LE(pulled.frames, chunks + 2 * window);
  EXPECT_TRUE(arrived());
}

TEST_F(TransferTest, serves_several_boards_at_once) {
  const auto depot = start_depot();
  std::vector<std::unique_ptr<ChildProcess>> boards;
  for (const std::string name : {"pi-1", "pi-2", "pi-3"}) {
    boards.push_back(std::make_unique<ChildProcess>([this, name](int talk) {
      const PullFigures figures = pull_blob(
          {broker_.session(name), name, table_, folder_.path() / name, ByteCount::mib(40), {}});
      say_line(talk, std::to_string(figures.frames) + " " + figures.error);
      return 0;
    }));
  }
  for (const auto& board : boards) {
    const Pulled pulled = finish(*board);
    EXPECT_EQ(pulled.error, "");
    EXPECT_EQ(pulled.frames, chunks);
  }
  for (const std::string name : {"pi-1", "pi-2", "pi-3"}) {
    const auto bytes = read_file(folder_.path() / name, ByteCount::mib(64));
    EXPECT_TRUE(bytes && std::ranges::equal(*bytes, blob_)) << name;
  }
}

}  // namespace
}  // namespace outcrop
