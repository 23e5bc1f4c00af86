#include "trainer_host/fleet/depot/waiting_boards.hpp"

#include <numeric>

#include <gmock/gmock.h>

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;

blob::ChunkRequest request(std::uint32_t transfer, std::vector<std::uint32_t> indexes) {
  return {transfer, trust::sha256("blob"), std::move(indexes)};
}

std::vector<std::string> all(WaitingBoards& boards) {
  std::vector<std::string> order;
  while (const auto next = boards.next()) {
    order.push_back(next->device + std::to_string(next->index));
  }
  return order;
}

TEST(WaitingBoards, take_turns) {
  WaitingBoards boards;
  boards.add("a", request(1, {0, 1, 2, 3}));
  boards.add("b", request(1, {0}));
  boards.add("c", request(1, {7, 8}));
  EXPECT_THAT(all(boards), ElementsAre("a0", "b0", "c7", "a1", "c8", "a2", "a3"));
  EXPECT_TRUE(boards.empty());
}

TEST(WaitingBoards, keep_64_indexes_of_a_board_and_each_once) {
  WaitingBoards boards;
  std::vector<std::uint32_t> many(64);
  std::iota(many.begin(), many.end(), 0U);
  boards.add("a", request(1, many));
  boards.add("a", request(1, many));
  boards.add("a", request(1, {100, 101}));
  EXPECT_EQ(all(boards).size(), 64U);
}

TEST(WaitingBoards, drop_what_a_board_asked_for_in_another_transfer) {
  WaitingBoards boards;
  boards.add("a", request(1, {0, 1, 2}));
  boards.add("b", request(1, {0}));
  boards.add("a", request(2, {5}));
  EXPECT_THAT(all(boards), ElementsAre("a5", "b0"));
}

TEST(WaitingBoards, forget_one_board) {
  WaitingBoards boards;
  boards.add("a", request(1, {0, 1}));
  boards.add("b", request(1, {0, 1}));
  boards.forget("a");
  boards.forget("nobody");
  EXPECT_THAT(all(boards), ElementsAre("b0", "b1"));
}

}  // namespace
}  // namespace outcrop::fleet
