#include "agent/telemetry/telemeter.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <span>
#include <string>

#include <spdlog/spdlog.h>
#include <boost/asio/steady_timer.hpp>

#include "agent/telemetry/machine_sample.hpp"
#include "agent/report/next_header.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/transport/awaitable.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

using Steady = std::chrono::steady_clock;

// A host that has a sample acknowledges it within seconds.
constexpr std::chrono::minutes repeat_after{5};

struct Kept {
  messages::MessageId id;
  std::string envelope;
  std::optional<Steady::time_point> sent;  // on this connection
};

}  // namespace

class Telemeter::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, TelemeterParts parts)
      : executor_(executor), timer_(executor), parts_(std::move(parts)) {}

  [[nodiscard]] bool watched() const { return watch_ && Steady::now() < until_; }

  void watch(const messages::Watch& watch) {
    if (!parts_.board.config.tell_telemetry) {
      if (!std::exchange(said_off_, true)) {
        spdlog::info("the host asks how this board fares; its owner does not want that to be told");
      }
      return;
    }
    const bool same = watched() && watch_->interval == watch.interval;
    watch_ = watch;
    until_ = Steady::now() + watch.lasts;
    if (same) return;
    spdlog::info("the host is told how this board fares, each {} s", watch.interval.count());
    (void)parts_.take_served();  // of nobody knows how long
    last_ = Steady::now();
    // Of thousands of boards that are asked at once each has its own moment.
    std::random_device random;
    const auto whole = std::chrono::milliseconds(watch.interval).count();
    wait(last_ + std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(1, whole)(random)));
  }

  void sample() {
    messages::Telemetry told;
    const Board& board = parts_.board;
    told.header = next_header(board.device, board.outbox, board.metadata, watch_ ? watch_->protocol : protocol_version);
    const auto now = Steady::now();
    told.interval = std::clamp(std::chrono::duration_cast<std::chrono::seconds>(now - last_),
                               std::chrono::seconds(1), messages::longest_interval);
    last_ = now;
    told.skipped = std::exchange(skipped_, 0);
    told.device_class = board.config.device_class;
    if (const auto active = board.slots.serving()) {
      told.active_manifest = active->manifest;
      told.active_variant = active->variant;
    }
    ServedCalls served = parts_.take_served();
    told.served = {served.calls, served.errors, std::move(served.latency_ms)};
    told.runner_restarts = parts_.restarts();
    sample_machine(parts_.machine, board.config.state, told);
    const std::string text = messages::to_json(told);
    kept_.push_back({{told.header.session, told.header.sequence},
                     trust::sign_envelope(messages::telemetry_kind, as_bytes(text),
                                          std::span(&board.key, 1)),
                     std::nullopt});
    while (kept_.size() > most_kept) {
      kept_.pop_front();
      ++skipped_;
    }
    send_soon();
  }

  void send_soon() {
    if (sending_ || session_ == nullptr || !session_->connected()) return;
    platform::spawn(executor_, send_all());
  }

  // One after the other, oldest first; those that are not acknowledged again after a while.
  asio::awaitable<void> send_all() {
    const std::shared_ptr<Impl> self = shared_from_this();
    sending_ = true;
    while (session_->connected() && !stopped_) {
      const auto now = Steady::now();
      const auto next = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
        return !kept.sent || now - *kept.sent > repeat_after;
      });
      if (next == kept_.end()) break;
      next->sent = now;
      transport::Message message{transport::topics::up(parts_.board.device, "telemetry"),
                                 next->envelope, false};
      const Status sent = co_await transport::publish(*session_, std::move(message),
                                                      transport::Delivery::at_least_once);
      if (sent || sent.error().code() == ErrorCode::io) continue;  // the next connection's business
      if (!std::exchange(said_denied_, true)) {
        spdlog::warn("the broker takes no telemetry of this board: {}", sent.error().message());
      }
      break;
    }
    sending_ = false;
  }

  void wait(Steady::time_point until) {
    timer_.expires_at(until);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (error || !self || self->stopped_) return;
      if (!self->watched()) {
        spdlog::info("the host does not ask any more how this board fares");
        self->watch_.reset();
        return;
      }
      self->sample();
      self->wait(self->last_ + self->watch_->interval);
    });
  }

  asio::any_io_executor executor_;
  asio::steady_timer timer_;
  TelemeterParts parts_;
  transport::Session* session_ = nullptr;
  std::optional<messages::Watch> watch_;
  Steady::time_point until_;
  Steady::time_point last_ = Steady::now();  // when a sample was taken
  std::deque<Kept> kept_;
  std::uint64_t skipped_ = 0;
  bool sending_ = false;
  bool stopped_ = false;
  bool said_off_ = false;
  bool said_denied_ = false;
};

Telemeter::Telemeter(asio::any_io_executor executor, TelemeterParts parts)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(parts))) {}

Telemeter::~Telemeter() {
  stop();
}

void Telemeter::speak_through(transport::Session& session) {
  impl_->session_ = &session;
}

void Telemeter::on_watch(const messages::Watch& watch) {
  impl_->watch(watch);
}

void Telemeter::on_connected() {
  for (Kept& kept : impl_->kept_) kept.sent.reset();
  impl_->send_soon();
}

void Telemeter::on_acknowledged(const messages::Acknowledgement& acknowledgement) {
  std::erase_if(impl_->kept_, [&](const Kept& kept) {
    const auto& ids = acknowledgement.reports;
    return std::find(ids.begin(), ids.end(), kept.id) != ids.end();
  });
}

void Telemeter::stop() {
  impl_->stopped_ = true;
  impl_->timer_.cancel();
}

void Telemeter::sample() {
  impl_->sample();
}

std::size_t Telemeter::waiting() const {
  return impl_->kept_.size();
}

bool Telemeter::watched() const {
  return impl_->watched();
}

}  // namespace outcrop::agent
