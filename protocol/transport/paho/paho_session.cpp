#include "protocol/transport/paho/paho_session.hpp"

#include <utility>  // before Asio

#include <algorithm>
#include <optional>
#include <random>
#include <unordered_map>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "protocol/transport/backoff.hpp"
#include "protocol/transport/inbox.hpp"
#include "protocol/transport/name_lookup.hpp"
#include "protocol/transport/paho/no_delay.hpp"
#include "protocol/transport/paho/paho_link.hpp"

namespace outcrop::transport {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds farewell{2000};
constexpr ByteCount most_waiting_bytes = ByteCount::mib(32);
// Between two lots of so many, whatever else waits for the executor has its turn.
constexpr std::size_t taken_at_once = 16;
// So many that were lost soon after they were made are no accident.
constexpr int telling_connections = 3;
// Paho looks for a new connection once a second where others are open, twice until it is made.
constexpr milliseconds shortest_timeout{4000};

// All of it lives on the executor. Links, posted events and timers know it weakly.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor executor, SessionOptions options)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        timer_(executor_),
        backoff_(options_.first_retry, options_.last_retry) {}

  void start(SessionHandlers handlers) {
    if (phase_ != Phase::idle) return;
    handlers_ = std::make_shared<const SessionHandlers>(std::move(handlers));
    work_.emplace(executor_);
    connect();
  }

  void stop(std::function<void()> done) {
    farewells_.push_back(std::move(done));
    if (phase_ == Phase::stopping) return;
    handlers_.reset();
    const bool polite = phase_ == Phase::connected && link_->disconnect(farewell).has_value();
    phase_ = Phase::stopping;
    if (!polite) return finish_stop();
    after(farewell, [this] { finish_stop(); });
  }

  // The session is gone; nobody will ask for anything again.
  void abandon() {
    handlers_.reset();
    forget_timer();
    lookup_.reset();
    link_.reset();
    fail_pending({ErrorCode::interrupted, "the session was closed"});
    for (auto& done : std::exchange(farewells_, {})) asio::post(executor_, std::move(done));
    phase_ = Phase::stopped;
    work_.reset();
  }

  [[nodiscard]] bool connected() const { return phase_ == Phase::connected; }
  [[nodiscard]] std::uint64_t overflowed() const {
    return overflowed_ + (inbox_ ? inbox_->overflowed() : 0);
  }

  void change_will(Message will) {
    options_.will = std::move(will);
    if (phase_ != Phase::connected) return;
    link_.reset();  // with a good-bye
    phase_ = Phase::waiting;
    const Error error(ErrorCode::interrupted, "the connection is made anew");
    fail_pending(error);
    after(milliseconds(0), [this] { connect(); });
    const auto handlers = handlers_;
    if (handlers->lost) handlers->lost(error);
  }

  template <class Operation>
  void operate(Operation operation, Completion done) {
    if (phase_ != Phase::connected) {
      complete(std::move(done), fail(ErrorCode::io, "not connected to " + broker()));
      return;
    }
    const std::uint64_t id = next_id_++;
    pending_.emplace(id, std::move(done));
    if (Status status = operation(*link_, id); !status) finish(id, std::move(status));
  }

 private:
  enum class Phase { idle, looking_up, connecting, connected, waiting, stopping, stopped };

  [[nodiscard]] std::string broker() const {
    return options_.host + ":" + std::to_string(options_.port);
  }

  // Runs `member` on the executor if this link is still the one in use then.
  template <class... Arguments>
  auto posting(void (Core::*member)(Arguments...)) {
    return [executor = executor_, weak = weak_from_this(), link = next_link_,
            member](Arguments... arguments) {
      asio::post(executor, [weak, link, member, ... kept = std::move(arguments)]() mutable {
        const auto self = weak.lock();
        if (self && self->link_ && self->current_link_ == link) {
          (self.get()->*member)(std::move(kept)...);
        }
      });
    };
  }

  // Of a link: its messages wait in an inbox of their own.
  std::function<void(Message)> receiving() {
    return [inbox = inbox_, call = posting(&Core::take_messages)](Message message) {
      if (inbox->put(std::move(message))) call();
    };
  }

  // The name first, then one address of it after the other: whichever lets us in.
  void connect() {
    phase_ = Phase::looking_up;
    after(std::max<milliseconds>(options_.connect_timeout, shortest_timeout), [this] {
      on_failed({ErrorCode::timeout, "no name server answers"});
    });
    // An earlier question may still wait for its answer: one at a time hangs, not one more with
    // each attempt.
    if (lookup_) return;
    lookup_.emplace(executor_, options_.host, [weak = weak_from_this()](Result<Addresses> found) {
      if (const auto self = weak.lock()) self->on_looked_up(std::move(found));
    });
  }

  void on_looked_up(Result<Addresses> found) {
    lookup_.reset();
    if (phase_ != Phase::looking_up) return;  // it came too late; the next attempt asks again
    if (!found) return on_failed(found.error().context("the name " + options_.host));
    untried_ = std::move(*found);
    // What worked last comes first.
    const auto good = std::find(untried_.begin(), untried_.end(), good_address_);
    if (good != untried_.end()) std::rotate(untried_.begin(), good, good + 1);
    time_for_each_ = std::max<milliseconds>(
        options_.connect_timeout / static_cast<int>(untried_.size()), shortest_timeout);
    try_next();
  }

  void try_next() {
    phase_ = Phase::connecting;
    overflowed_ = overflowed();
    inbox_ = std::make_shared<Inbox>(options_.most_waiting, most_waiting_bytes);
    address_ = untried_.front();
    untried_.erase(untried_.begin());
    ++next_link_;
    auto link = PahoLink::open(options_, address_,
                               {.connected = posting(&Core::on_connected),
                                .lost = posting(&Core::on_lost),
                                .message = receiving(),
                                .done = posting(&Core::on_done),
                                .disconnected = posting(&Core::finish_stop)});
    if (!link) return on_failed(link.error());
    link_ = std::move(*link);
    current_link_ = next_link_;
    // Paho looks at its own time-out only every three seconds.
    after(time_for_each_, [this] { on_failed({ErrorCode::timeout, "no answer"}); });
  }

  void on_connected(Status status) {
    if (phase_ != Phase::connecting) return;
    if (!status) return on_failed(status.error());
    forget_timer();
    set_no_delay(options_.port);
    phase_ = Phase::connected;
    good_address_ = address_;
    failures_.clear();
    connected_at_ = Clock::now();
    const auto handlers = handlers_;
    if (handlers->connected) handlers->connected();
  }

  void on_failed(const Error& error) {
    link_.reset();
    const bool of_one = phase_ == Phase::connecting && address_ != options_.host;
    if (!failures_.empty()) failures_ += "; ";
    failures_ += (of_one ? "at " + address_ + ": " : "") + error.message();
    if (phase_ == Phase::connecting && !untried_.empty()) return try_next();
    const Error all(error.code(), std::exchange(failures_, {}));
    retire(all.context("connecting to " + broker()), false);
  }

  void on_lost(Error error, bool taken_over) {
    if (phase_ == Phase::stopping) return finish_stop();
    if (phase_ == Phase::connecting) return on_failed(error);
    // Only a long connection was a good one: two of the same identity throw each other out, which
    // mosquitto 2.0 does not tell from any other loss, and must come to do so ever less often.
    if (Clock::now() - connected_at_ > options_.last_retry) {
      backoff_.begin_anew();
      brief_connections_ = 0;
    }
    if (taken_over) error = Error(ErrorCode::already_exists, error.message());
    if (++brief_connections_ >= telling_connections && !taken_over) {
      error = Error(ErrorCode::already_exists,
                    error.message() + " (connections do not last, " +
                                      std::to_string(brief_connections_) +
                                      " in a row: does another program connect as '" +
                                      options_.client_id + "'? One of the two must end)");
    }
    retire(error.context(broker()), taken_over);
  }

  // Drops the link and comes back later: with another of our identity about, much later, or both
  // would throw each other out for ever.
  void retire(const Error& error, bool taken_over) {
    link_.reset();
    phase_ = Phase::waiting;
    fail_pending(error);
    if (taken_over) backoff_.stay_away();
    after(backoff_.next(random_), [this] { connect(); });
    const auto handlers = handlers_;
    if (handlers->lost) handlers->lost(error);
  }

  void take_messages() {
    const auto inbox = inbox_;
    auto messages = inbox->take(taken_at_once);
    if (messages.empty()) return;
    for (Message& message : messages) {
      if (phase_ != Phase::connected || inbox != inbox_) return;
      const auto handlers = handlers_;
      if (handlers->message) handlers->message(std::move(message));
    }
    posting_now(&Core::take_messages);
  }

  // For the link in use.
  void posting_now(void (Core::*member)()) {
    asio::post(executor_, [weak = weak_from_this(), link = current_link_, member] {
      const auto self = weak.lock();
      if (self && self->link_ && self->current_link_ == link) (self.get()->*member)();
    });
  }

  void on_done(std::uint64_t id, Status status) { finish(id, std::move(status)); }

  void finish(std::uint64_t id, Status status) {
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    Completion done = std::move(found->second);
    pending_.erase(found);
    complete(std::move(done), std::move(status));
  }

  void complete(Completion done, Status status) {
    asio::post(executor_, [done = std::move(done), status = std::move(status)]() mutable {
      if (done) done(std::move(status));
    });
  }

  void fail_pending(const Error& error) {
    for (auto& [id, done] : std::exchange(pending_, {})) complete(std::move(done), fail(error));
  }

  void finish_stop() {
    if (phase_ == Phase::stopping) abandon();
  }

  void after(milliseconds delay, std::function<void()> what) {
    timer_.expires_after(delay);
    timer_.async_wait([weak = weak_from_this(), what = std::move(what),
                       ticket = ++timer_ticket_](const boost::system::error_code& cancelled) {
      const auto self = weak.lock();
      if (!cancelled && self && self->timer_ticket_ == ticket) what();
    });
  }

  void forget_timer() {
    ++timer_ticket_;  // its handler may be in the queue already
    timer_.cancel();
  }

  asio::any_io_executor executor_;
  SessionOptions options_;
  std::shared_ptr<const SessionHandlers> handlers_;  // none: none may be called any more
  std::optional<asio::executor_work_guard<asio::any_io_executor>> work_;
  Phase phase_ = Phase::idle;
  asio::steady_timer timer_;
  std::uint64_t timer_ticket_ = 0;
  Backoff backoff_;
  Clock::time_point connected_at_;
  int brief_connections_ = 0;  // lost one after the other, each soon after it was made
  std::minstd_rand random_{std::random_device{}()};
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::uint64_t, Completion> pending_;
  std::vector<std::function<void()>> farewells_;
  std::optional<NameLookup> lookup_;  // while it waits for its answer
  Addresses untried_;                 // of the attempt at work
  std::string address_;               // that is tried, or was last
  std::string good_address_;          // that let us in last
  std::string failures_;              // of the attempt at work
  milliseconds time_for_each_{0};     // address
  std::uint64_t next_link_ = 0;
  std::uint64_t current_link_ = 0;
  std::unique_ptr<PahoLink> link_;
  std::shared_ptr<Inbox> inbox_;       // of that link
  std::uint64_t overflowed_ = 0;       // in inboxes before
};

class PahoSession final : public Session {
 public:
  PahoSession(asio::any_io_executor executor, SessionOptions options)
      : core_(std::make_shared<Core>(std::move(executor), std::move(options))) {}
  ~PahoSession() override { core_->abandon(); }

  void start(SessionHandlers handlers) override { core_->start(std::move(handlers)); }
  void stop(std::function<void()> done) override { core_->stop(std::move(done)); }
  [[nodiscard]] bool connected() const override { return core_->connected(); }
  void change_will(Message will) override { core_->change_will(std::move(will)); }
  [[nodiscard]] std::uint64_t overflowed() const override { return core_->overflowed(); }

  void publish(Message message, Delivery delivery, Completion done) override {
    core_->operate([&](PahoLink& link,
                       std::uint64_t id) { return link.publish(std::move(message), delivery, id); },
                   std::move(done));
  }
  void subscribe(std::string filter, Delivery delivery, Completion done) override {
    core_->operate(
        [&](PahoLink& link, std::uint64_t id) { return link.subscribe(filter, delivery, id); },
        std::move(done));
  }
  void unsubscribe(std::string filter, Completion done) override {
    core_->operate([&](PahoLink& link, std::uint64_t id) { return link.unsubscribe(filter, id); },
                   std::move(done));
  }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<Session> make_paho_session(asio::any_io_executor executor, SessionOptions options) {
  return std::make_unique<PahoSession>(std::move(executor), std::move(options));
}

}  // namespace outcrop::transport
