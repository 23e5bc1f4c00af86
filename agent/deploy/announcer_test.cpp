#include "agent/deploy/announcer.hpp"

#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>

#include "agent/verify/metadata_fixture.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/fake_session.hpp"

namespace outcrop::agent {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds first_repeat{100};

class AnnouncerTest : public MetadataTest {
 protected:
  AnnouncerTest() {
    config_.model = "curvefault";
    config_.device_class = "raspberry-pi-4";
    host_->start({.connected =
                      [this] {
                        host_->subscribe(transport::topics::up("pi-1", "report"),
                                         transport::Delivery::at_least_once, [](const Status&) {});
                      },
                  .lost = {},
                  .message = [this](const transport::Message&) { ++reports_; }});
    board_session_->start(
        {.connected = [this] { announcer_.on_connected(); }, .lost = {}, .message = {}});
    announcer_.speak_through(*board_session_);
    run_for(milliseconds(5));
  }
  void run_for(milliseconds duration) {
    io_.restart();
    io_.run_for(duration);
  }
  // Much later than the first repetition, much sooner than after eight that were in vain.
  bool repeated(int times) {
    for (int i = 0; i < 50 && reports_ < times; ++i) run_for(first_repeat / 2);
    return reports_ >= times;
  }
  void report() {
    Deployment deployment;
    deployment.offer.rollout = "stage-2";
    deployment.offer.manifest = trust::sha256("manifest");
    announcer_.report(deployment);
    run_for(milliseconds(5));
  }

  asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> board_session_ = network_.session();
  std::unique_ptr<transport::FakeSession> host_ = network_.session();
  AgentConfig config_;
  MetadataStore metadata_ = open();
  Slots slots_ = Slots::open(temporary_.path() / "releases", ByteCount(0));
  Outbox outbox_ = Outbox::open(temporary_.path() / "outbox", start);
  std::optional<runtime::Hello> engine_;
  Announcer announcer_{
      io_.get_executor(),
      Board{"pi-1", *trust::PrivateKey::generate(), config_, metadata_, slots_, engine_, outbox_},
      first_repeat};
  int reports_ = 0;
};

TEST_F(AnnouncerTest, repeats_a_lost_report_soon_however_many_came_before) {
  for (std::uint64_t sequence = 1; sequence <= 8; ++sequence) {
    report();
    announcer_.on_acknowledged({{{outbox_.session(), sequence}}});
  }
  ASSERT_GE(reports_, 8);  // more where a busy machine was slow to acknowledge
  const int before = reports_;
  report();  // nobody acknowledges it
  EXPECT_TRUE(repeated(before + 2));
}

TEST_F(AnnouncerTest, does_not_put_off_what_waits_for_what_comes_later) {
  report();
  for (int i = 0; i < 40; ++i) {
    run_for(first_repeat / 4);
    report();
    announcer_.on_acknowledged({{{outbox_.session(), outbox_.next_sequence() - 1}}});
  }
  EXPECT_GT(reports_, 41);
}

TEST_F(AnnouncerTest, repeats_ever_less_often_what_nobody_acknowledges) {
  report();
  run_for(6 * first_repeat);  // after 1 and after 3
  EXPECT_LE(reports_, 3);
  EXPECT_TRUE(repeated(3));
}

}  // namespace
}  // namespace outcrop::agent
