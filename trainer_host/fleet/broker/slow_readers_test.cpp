#include "trainer_host/fleet/broker/slow_readers.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SlowReaders, are_disconnected_where_the_broker_holds_too_much_for_them) {
  std::optional<std::string> heaviest = "pi-1";
  std::vector<std::string> gone;
  SlowReaders readers([&] { return heaviest; }, [&](const std::string& board) { gone.push_back(board); });
  const SlowReaders::Time now{};
  const std::string much = std::to_string(SlowReaders::too_much.value() + 1);
  EXPECT_THAT(readers.on_heap(std::to_string(SlowReaders::too_much.value()), now), IsOk());
  EXPECT_THAT(readers.on_heap("much", now), IsOk());
  EXPECT_TRUE(gone.empty());
  EXPECT_THAT(readers.on_heap(much, now), ErrorIs(ErrorCode::refused, HasSubstr("'pi-1'")));
  EXPECT_THAT(gone, ElementsAre("pi-1"));
  EXPECT_THAT(readers.on_heap(much, now + SlowReaders::pause / 2), IsOk()) << "what was freed does not show yet";
  heaviest = std::nullopt;
  EXPECT_THAT(readers.on_heap(much, now + SlowReaders::pause), IsOk()) << "nobody was sent anything";
  EXPECT_THAT(gone, ElementsAre("pi-1"));
}

}  // namespace
}  // namespace outcrop::fleet
