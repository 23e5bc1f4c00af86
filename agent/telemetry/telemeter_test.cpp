#include "agent/telemetry/telemeter.hpp"

#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>

#include "agent/verify/metadata_fixture.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/fake_session.hpp"

namespace outcrop::agent {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

class TelemeterTest : public MetadataTest {
 protected:
  TelemeterTest() {
    config_.model = "curvefault";
    config_.device_class = "raspberry-pi-4";
    config_.state = temporary_.path();
    host_->start({.connected =
                      [this] {
                        host_->subscribe(transport::topics::up("pi-1", "telemetry"),
                                         transport::Delivery::at_least_once, [](const Status&) {});
                      },
                  .lost = {},
                  .message = [this](const transport::Message& message) { take(message.payload); }});
    telemeter_.speak_through(*board_);
    run_for(milliseconds(5));
  }
  void connect() {
    board_->start({.connected = [this] { telemeter_.on_connected(); }, .lost = {}, .message = {}});
    run_for(milliseconds(20));
  }
  void take(const std::string& payload) {
    const auto verified = trust::verify_envelope(payload, messages::telemetry_kind,
                                                 {"board", {{key_.public_key().id(), key_.public_key()}}, 1});
    ASSERT_THAT(verified, IsOk());
    const auto telemetry = messages::parse_telemetry(verified->bytes());
    ASSERT_THAT(telemetry, IsOk());
    told_.push_back(*telemetry);
  }
  void run_for(milliseconds duration) {
    io_.restart();
    io_.run_for(duration);
  }
  void acknowledge(std::size_t index) {
    const auto& header = told_.at(index).header;
    telemeter_.on_acknowledged({{{header.session, header.sequence}}});
  }

  asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> board_ = network_.session();
  std::unique_ptr<transport::FakeSession> host_ = network_.session();
  AgentConfig config_;
  trust::PrivateKey key_ = *trust::PrivateKey::generate();
  MetadataStore metadata_ = open();
  Slots slots_ = Slots::open(temporary_.path() / "releases", ByteCount(0));
  Outbox outbox_ = Outbox::open(temporary_.path() / "outbox", start);
  std::optional<runtime::Hello> engine_;
  ServedCalls served_;
  Telemeter telemeter_{
      io_.get_executor(),
      {Board{"pi-1", key_, config_, metadata_, slots_, engine_, outbox_},
       [this] { return std::exchange(served_, {}); }, [] { return std::uint64_t{3}; },
       runtime::MachineFiles(std::filesystem::path(OUTCROP_SOURCE) / "agent/doctor/boards/raspberry-pi-3")}};
  std::vector<messages::Telemetry> told_;
};

TEST_F(TelemeterTest, tells_what_was_served_once_and_signs_it) {
  connect();
  served_.calls = 2;
  served_.errors = 1;
  served_.latency_ms.add(8.5);
  telemeter_.sample();
  telemeter_.sample();
  run_for(milliseconds(20));
  ASSERT_EQ(told_.size(), 2U);
  EXPECT_EQ(told_[0].served.calls, 2U);
  EXPECT_EQ(told_[0].served.latency_ms.max(), 8.5);
  EXPECT_EQ(told_[0].runner_restarts, 3U);
  EXPECT_EQ(told_[0].device_class, "raspberry-pi-4");
  EXPECT_NEAR(told_[0].temperature.value_or(0), 76.284, 1e-6);
  EXPECT_EQ(told_[1].served.calls, 0U);
  EXPECT_GT(told_[1].header.sequence, told_[0].header.sequence);
}

TEST_F(TelemeterTest, keeps_a_sample_until_it_is_acknowledged) {
  connect();
  telemeter_.sample();
  telemeter_.sample();
  run_for(milliseconds(20));
  ASSERT_EQ(told_.size(), 2U);
  acknowledge(0);
  EXPECT_EQ(telemeter_.waiting(), 1U);
  telemeter_.on_connected();  // anew
  run_for(milliseconds(20));
  ASSERT_EQ(told_.size(), 3U);
  EXPECT_EQ(told_[2], told_[1]) << "the same again, not another";
}

TEST_F(TelemeterTest, keeps_a_day_while_nobody_hears_it_and_says_how_much_went) {
  for (std::size_t i = 0; i < Telemeter::most_kept + 5; ++i) telemeter_.sample();
  EXPECT_EQ(telemeter_.waiting(), Telemeter::most_kept);
  connect();
  for (int i = 0; i < 100 && told_.size() < Telemeter::most_kept; ++i) run_for(milliseconds(20));
  ASSERT_EQ(told_.size(), Telemeter::most_kept);
  std::uint64_t skipped = 0;
  for (const auto& telemetry : told_) skipped += telemetry.skipped;
  telemeter_.sample();
  run_for(milliseconds(20));
  skipped += told_.back().skipped;
  EXPECT_EQ(skipped, 5U) << "none goes in silence";
  EXPECT_EQ(telemeter_.waiting(), Telemeter::most_kept) << "none was acknowledged yet";
}

TEST_F(TelemeterTest, is_silent_until_it_is_asked_and_when_that_is_over) {
  EXPECT_FALSE(telemeter_.watched());
  telemeter_.on_watch({std::chrono::seconds(10), std::chrono::seconds(60)});
  EXPECT_TRUE(telemeter_.watched());
  telemeter_.on_watch({std::chrono::seconds(10), std::chrono::seconds(0)});
  EXPECT_FALSE(telemeter_.watched());
}

TEST_F(TelemeterTest, tells_nothing_that_its_owner_does_not_want_told) {
  config_.tell_telemetry = false;
  telemeter_.on_watch({std::chrono::seconds(10), std::chrono::seconds(60)});
  EXPECT_FALSE(telemeter_.watched());
}

}  // namespace
}  // namespace outcrop::agent
