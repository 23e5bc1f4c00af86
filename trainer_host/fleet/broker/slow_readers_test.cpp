#include "trainer_host/fleet/broker/slow_readers.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(SlowReaders, are_disconnected_where_the_broker_holds_too_much_for_them) {
  std::optional<SlowReaders::Sent> sent{{"pi-1", ByteCount::mib(300), ByteCount::mib(320)}};
  std::vector<std::string> gone;
  SlowReaders readers([&] { return sent; }, [&](const std::string& board) { gone.push_back(board); });
  const SlowReaders::Time now{};
  const std::string much = std::to_string(SlowReaders::too_much.value() + 1);
  EXPECT_THAT(readers.on_heap(std::to_string(SlowReaders::too_much.value()), now), IsOk());
  EXPECT_THAT(readers.on_heap("much", now), IsOk());
  EXPECT_TRUE(gone.empty());
  EXPECT_THAT(readers.on_heap(much, now), ErrorIs(ErrorCode::refused, HasSubstr("'pi-1'")));
  EXPECT_THAT(gone, ElementsAre("pi-1"));
  EXPECT_THAT(readers.on_heap(much, now + SlowReaders::pause / 2), IsOk()) << "what was freed does not show yet";
  sent = std::nullopt;
  EXPECT_THAT(readers.on_heap(much, now + SlowReaders::pause), ErrorIs(ErrorCode::refused, HasSubstr("subscriptions")))
      << "nobody was sent anything";
  EXPECT_THAT(gone, ElementsAre("pi-1"));
}

TEST(SlowReaders, are_not_blamed_for_what_they_were_not_sent) {
  SlowReaders::Sent sent{"pi-1", ByteCount::mib(20), ByteCount::mib(600)};
  std::vector<std::string> gone;
  SlowReaders readers([&] { return std::optional(sent); }, [&](const std::string& board) { gone.push_back(board); });
  SlowReaders::Time now{};
  const std::string much = std::to_string(SlowReaders::too_much.value() + 1);
  EXPECT_THAT(readers.on_heap(much, now), ErrorIs(ErrorCode::refused, HasSubstr("subscriptions"))) << "a board that pulls one release";
  sent = {"pi-1", ByteCount::mib(160), ByteCount::mib(200)};
  EXPECT_THAT(readers.on_heap(much, now += SlowReaders::pause), ErrorIs(ErrorCode::refused, HasSubstr("subscriptions")))
      << "all boards together were not sent half of what is held";
  EXPECT_TRUE(gone.empty());
  sent.to_all = ByteCount::mib(300);
  EXPECT_THAT(readers.on_heap(much, now += SlowReaders::pause), ErrorIs(ErrorCode::refused, HasSubstr("'pi-1'")));
  EXPECT_THAT(gone, ElementsAre("pi-1"));
}

}  // namespace
}  // namespace outcrop::fleet
