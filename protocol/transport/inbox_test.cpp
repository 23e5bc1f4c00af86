#include "protocol/transport/inbox.hpp"

#include <gmock/gmock.h>

namespace outcrop::transport {
namespace {

Message message(const std::string& payload) {
  return {"t", payload, false};
}

TEST(Inbox, calls_once_until_all_is_taken) {
  Inbox inbox(8, ByteCount(100));
  EXPECT_TRUE(inbox.put(message("1")));
  EXPECT_FALSE(inbox.put(message("2")));
  EXPECT_FALSE(inbox.put(message("3")));
  const auto first = inbox.take(2);
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].payload, "1");
  EXPECT_FALSE(inbox.put(message("4"))) << "whoever takes comes again";
  EXPECT_EQ(inbox.take(8).size(), 2U);
  EXPECT_TRUE(inbox.take(8).empty());
  EXPECT_TRUE(inbox.put(message("5")));
}

TEST(Inbox, lets_go_of_what_finds_no_room) {
  Inbox inbox(2, ByteCount(10));
  (void)inbox.put(message("1"));
  (void)inbox.put(message(std::string(20, 'x')));
  EXPECT_EQ(inbox.overflowed(), 1U) << "too many bytes";
  (void)inbox.put(message("2"));
  (void)inbox.put(message("3"));
  EXPECT_EQ(inbox.overflowed(), 2U) << "too many messages";
  EXPECT_EQ(inbox.take(8).size(), 2U);
  (void)inbox.put(message("123456789"));
  EXPECT_EQ(inbox.take(8).size(), 1U) << "room again";
}

}  // namespace
}  // namespace outcrop::transport
