#include <gmock/gmock.h>

#include "tests/support/mqtt_client.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/test_broker.hpp"

namespace outcrop::transport {
namespace {

TEST(Session, carries_a_message_to_a_subscriber) {
  const TestBroker broker;
  Loop loop;
  Client reader(loop, broker.session("reader"), {"t/#"});
  Client writer(loop, broker.session("writer"));
  ASSERT_TRUE(reader.ready() && writer.ready());
  EXPECT_THAT(writer.publish({"t/a", "hello"}), IsOk());
  EXPECT_THAT(writer.publish({"t/b", ""}, Delivery::at_most_once), IsOk());
  ASSERT_TRUE(reader.has_messages(2));
  EXPECT_EQ(reader.messages()[0].payload, "hello");
  EXPECT_EQ(reader.messages()[1].topic, "t/b");
  EXPECT_TRUE(reader.stop());
}

}  // namespace
}  // namespace outcrop::transport
