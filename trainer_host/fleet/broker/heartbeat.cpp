#include "trainer_host/fleet/broker/heartbeat.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <spdlog/spdlog.h>

namespace outcrop::fleet {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* topic = "outcrop/v1/host/heartbeat";  // boards neither write nor read it
constexpr int longest_patience = 20;                        // times as long as the first
constexpr int least_share = 50;                             // of a processor's time, by which one works: a fiftieth

}  // namespace

class Heartbeat::Impl : public std::enable_shared_from_this<Heartbeat::Impl> {
 public:
  Impl(const boost::asio::any_io_executor& executor, transport::Session& session, Times times,
       std::function<void(milliseconds)> silent, Worked worked)
      : timer_(executor),
        session_(&session),
        times_(times),
        patience_(times.patience),
        silent_(std::move(silent)),
        worked_(std::move(worked)) {}

  void beat() {
    if (session_->connected() && !asked_) ask();
    const auto silence = std::chrono::duration_cast<milliseconds>(Steady::now() - answered_);
    const bool at_work = works();
    if (silence >= patience_ && at_work && silence < longest_patience * times_.patience) {
      if (!std::exchange(said_busy_, true)) {
        spdlog::warn("the broker has not answered for {} s: it is at work, and not disturbed", silence.count() / 1000);
      }
    } else if (silence >= patience_) {
      answered_ = Steady::now();
      patience_ = std::min(2 * patience_, longest_patience * times_.patience);
      silent_(silence);
    }
    timer_.expires_after(times_.every);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
      const auto self = weak.lock();
      if (!stopped && self) self->beat();
    });
  }

  void heard() {
    answered_ = Steady::now();
    asked_ = said_busy_ = false;
  }

 private:
  // Since it was asked last.
  [[nodiscard]] bool works() {
    const auto now = Steady::now();
    const auto worked = worked_();
    const bool at_work = worked && worked_before_ && *worked - *worked_before_ >= (now - looked_) / least_share;
    worked_before_ = worked;
    looked_ = now;
    return at_work;
  }

  void ask() {
    asked_ = true;
    session_->publish({topic, "", false}, transport::Delivery::at_least_once,
                      [weak = weak_from_this()](const Status& answered) {
                        const auto self = weak.lock();
                        if (!self) return;
                        self->asked_ = self->said_busy_ = false;
                        if (!answered) return;  // lost with the connection
                        self->answered_ = Steady::now();
                        self->patience_ = self->times_.patience;
                      });
  }

  boost::asio::steady_timer timer_;
  transport::Session* session_;
  Times times_;
  milliseconds patience_;
  std::function<void(milliseconds)> silent_;
  Steady::time_point answered_ = Steady::now();
  Worked worked_;
  std::optional<std::chrono::nanoseconds> worked_before_;
  Steady::time_point looked_ = Steady::now();
  bool asked_ = false;
  bool said_busy_ = false;
};

Heartbeat::Heartbeat(boost::asio::any_io_executor executor, transport::Session& session,
                     Times times, std::function<void(milliseconds)> silent, Worked worked)
    : impl_(std::make_shared<Impl>(executor, session, times, std::move(silent), std::move(worked))) {
  impl_->beat();
}

Heartbeat::~Heartbeat() = default;

void Heartbeat::heard() {
  impl_->heard();
}

}  // namespace outcrop::fleet
