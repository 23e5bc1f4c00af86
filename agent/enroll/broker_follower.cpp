#include "agent/enroll/broker_follower.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>
#include <boost/asio/steady_timer.hpp>

#include "agent/enroll/moved_broker.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::minutes write_again_after{1};

std::string words(const BrokerPlace& place) {
  return place.host + ":" + std::to_string(place.port);
}

// Whose numbers are counted.
trust::Sha256Digest digest_of(const trust::Signers& signers) {
  std::string text = std::to_string(signers.threshold);
  for (const auto& [id, key] : signers.keys) text += " " + id.hex();  // in order
  return trust::sha256(text);
}

}  // namespace

class BrokerFollower::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, BrokerFollowerParts parts)
      : parts_(std::move(parts)), moved_(parts_.config.state), timer_(executor) {
    if (const auto told = moved_.read(); told && !told->not_kept.empty()) trouble_ = told->not_kept;
  }

  void start() {
    if (!parts_.identity.next_broker()) return;
    spdlog::info("its broker was said to be at {}: it is tried", words(*parts_.identity.next_broker()));
    after(parts_.trial, &Impl::go_back);
  }

  Status on_move(const messages::Move& given) {
    const trust::Signers owners = parts_.metadata.owners();
    OUTCROP_TRY(verified, trust::verify_envelope(given.move, messages::broker_move_kind, owners));
    OUTCROP_TRY(move, messages::parse_broker_move(verified.bytes()));
    OUTCROP_TRY(told, moved_.read());
    const trust::Sha256Digest under = digest_of(owners);
    const std::uint64_t known = told.counted_under == under ? told.number : 0;
    OUTCROP_CHECK(check_number(move, known));
    if (const Status right = check_place(move); !right) {
      trouble_ = "its broker was said to be at " + move.host + ":" + std::to_string(move.port) + ": " + right.error().message();
      return right;
    }
    const BrokerPlace place{move.host, move.port, move.authority};
    told = {move.number, under, place, 0, ""};
    if (place == present()) told.next.reset();
    OUTCROP_CHECK(moved_.write(told));
    trouble_.reset();
    if (!told.next) {
      spdlog::info("its broker stays at {}", words(place));
      return {};
    }
    spdlog::info("its broker is said to be at {} from now on", words(place));
    parts_.begin_again();
    return {};
  }

  void on_subscribed() {
    if (!parts_.identity.next_broker() || std::exchange(got_through_, true)) return;
    timer_.cancel();
    Status kept = parts_.identity.keep_broker(*parts_.identity.next_broker());
    if (kept) kept = moved_.kept();
    if (!kept) {
      got_through_ = false;
      spdlog::error("the broker's new place could not be written down: {}", kept.error().message());
      return after(write_again_after, &Impl::on_subscribed);
    }
    kept_ = true;
    spdlog::info("its broker is at {} from now on: it let this board in", words(*parts_.identity.next_broker()));
  }

 private:
  // The identity was read before that was kept.
  [[nodiscard]] BrokerPlace present() const { return kept_ ? *parts_.identity.next_broker() : parts_.identity.broker(); }

  void after(std::chrono::milliseconds time, void (Impl::*does)()) {
    timer_.expires_after(time);
    timer_.async_wait([weak = weak_from_this(), does](const boost::system::error_code& error) {
      if (const auto self = weak.lock(); self && !error) (*self.*does)();
    });
  }

  Status check_number(const messages::BrokerMove& move, std::uint64_t known) const {
    if (const Timestamp now = parts_.metadata.now(); now >= move.expires) {
      return fail(ErrorCode::expired, "the move expired on " + to_rfc3339(move.expires) + "; it is " + to_rfc3339(now));
    }
    if (move.number <= known) {
      return fail(ErrorCode::refused, "move " + std::to_string(move.number) + " is an old one: " + std::to_string(known) + " was taken");
    }
    const auto seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(0, parts_.metadata.now().time_since_epoch().count()));
    if (messages::leaps(move.number, std::max(known, seconds))) {
      return fail(ErrorCode::refused, "move " + std::to_string(move.number) + " leaps beyond " + std::to_string(known) + ": none would be left");
    }
    return {};
  }

  Status check_place(const messages::BrokerMove& move) const {
    OUTCROP_CHECK(trust::read_certificate(move.authority));
    if (!parts_.config.broker_host.empty() || parts_.config.broker_port != 0) {
      return fail(ErrorCode::refused, "this board's owner says where its broker is ([broker] of agent.toml)");
    }
    if (parts_.identity.next().on_trial()) {
      return fail(ErrorCode::refused, "a new certificate is on trial: not both at once");
    }
    return {};
  }

  void go_back() {
    spdlog::error("nobody lets this board in at {}: it goes back to {}", words(*parts_.identity.next_broker()),
                  words(parts_.identity.broker()));
    const Status written = moved_.give_up("within " + std::to_string(std::chrono::ceil<std::chrono::seconds>(parts_.trial).count()) + " s");
    // Each start that tries it is counted first: where that cannot be written, it does not.
    if (!written) spdlog::error("{}", written.error().message());
    parts_.begin_again();
  }

  friend class BrokerFollower;
  BrokerFollowerParts parts_;
  const MovedBroker moved_;
  asio::steady_timer timer_;
  bool got_through_ = false;
  bool kept_ = false;
  std::optional<std::string> trouble_;
};

BrokerFollower::BrokerFollower(asio::any_io_executor executor, BrokerFollowerParts parts)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(parts))) {}
BrokerFollower::~BrokerFollower() = default;

void BrokerFollower::start() {
  impl_->start();
}
void BrokerFollower::stop() {
  impl_->timer_.cancel();
}
Status BrokerFollower::on_move(const messages::Move& move) {
  return impl_->on_move(move);
}
void BrokerFollower::on_subscribed() {
  impl_->on_subscribed();
}
std::optional<std::string> BrokerFollower::trouble() const {
  return impl_->trouble_;
}

}  // namespace outcrop::agent
