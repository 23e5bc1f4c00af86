#include "agent/updates/metered_link.hpp"

#include <poll.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <spdlog/spdlog.h>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr const char* service = "org.freedesktop.NetworkManager";
constexpr const char* object = "/org/freedesktop/NetworkManager";
constexpr const char* properties = "org.freedesktop.DBus.Properties";

// NMMetered of NetworkManager's reference manual: what it guesses counts as what it knows.
constexpr std::uint32_t metered_yes = 1;
constexpr std::uint32_t metered_guess_yes = 3;

struct CloseBus {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};

}  // namespace

class MeteredLink::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(asio::any_io_executor executor, Times times) : times_(times), socket_(executor), timer_(executor) {}

  void begin() {
    if (const int failed = open(); failed < 0) return lost(failed);
    go_on();
  }

  void stop() {
    stopped_ = true;
    timer_.cancel();
    close();
  }

  [[nodiscard]] std::optional<std::string> costs() const {
    if (!metered_) return nobody_answers_ ? std::nullopt : std::optional<std::string>("waits for NetworkManager to say whether its link is metered");
    if (!*metered_) return std::nullopt;
    return "NetworkManager says that its link is metered: releases come by another, or by `outcrop-agent install`";
  }

 private:
  int open() {
    sd_bus* bus = nullptr;
    if (const int failed = sd_bus_open_system(&bus); failed < 0) return failed;
    bus_.reset(bus);
    if (const int failed = sd_bus_match_signal_async(bus, nullptr, service, object, properties, "PropertiesChanged", on_changed, nullptr, this);
        failed < 0) {
      return failed;
    }
    const int failed = ask();
    if (failed < 0) return failed;
    const int own = ::dup(sd_bus_get_fd(bus));
    if (own < 0) return -errno;
    socket_.assign(own);
    return 0;
  }

  int ask() {
    sd_bus_message* raw = nullptr;
    int failed = sd_bus_message_new_method_call(bus_.get(), &raw, service, object, properties, "Get");
    if (failed >= 0) failed = sd_bus_message_append(raw, "ss", service, "Metered");
    if (failed >= 0) {
      failed = sd_bus_call_async(bus_.get(), nullptr, raw, on_answer, this,
                                 static_cast<std::uint64_t>(std::chrono::microseconds(times_.answer).count()));
    }
    sd_bus_message_unref(raw);
    return failed;
  }

  static int on_changed(sd_bus_message*, void* self, sd_bus_error*) { return static_cast<Impl*>(self)->ask(); }

  static int on_answer(sd_bus_message* answer, void* self, sd_bus_error*) {
    static_cast<Impl*>(self)->answered(answer);
    return 0;
  }

  void answered(sd_bus_message* answer) {
    std::uint32_t value = 0;
    if (const sd_bus_error* error = sd_bus_message_get_error(answer)) {
      return no_answer(error->message == nullptr ? error->name : error->message);
    }
    if (const int failed = sd_bus_message_read(answer, "v", "u", &value); failed < 0) return no_answer(std::strerror(-failed));
    const bool now = value == metered_yes || value == metered_guess_yes;
    if (metered_ != now) spdlog::info("NetworkManager says that this board's link is {}metered", now ? "" : "not ");
    metered_ = now;
    nobody_answers_ = false;
  }

  // It may be started later: then it says so by a signal, and besides it is asked again.
  void no_answer(const std::string& why) {
    if (!nobody_answers_) {
      spdlog::warn("NetworkManager does not say whether this board's link is metered ({}): {}", why,
                   metered_ ? "what it said last counts" : "it is taken for one that is not");
    }
    nobody_answers_ = true;
    wrong_ = true;
  }

  // Takes what came, then waits for more: for bytes, or for the end of a call's patience.
  void go_on() {
    int done = 0;
    while (bus_ && (done = sd_bus_process(bus_.get(), nullptr)) > 0) {
    }
    if (done < 0) return lost(done);
    if (std::exchange(wrong_, false)) return again();
    const int events = sd_bus_get_events(bus_.get());
    if (events < 0) return lost(events);
    const std::uint64_t round = ++round_;
    const bool writes = (static_cast<unsigned>(events) & static_cast<unsigned>(POLLOUT)) != 0;
    socket_.async_wait(writes ? asio::posix::descriptor_base::wait_write : asio::posix::descriptor_base::wait_read,
                       [weak = weak_from_this(), round](const boost::system::error_code& error) {
                         const auto self = weak.lock();
                         if (!self || self->stopped_ || error || round != self->round_) return;
                         self->timer_.cancel();
                         self->go_on();
                       });
    std::uint64_t deadline = 0;  // CLOCK_MONOTONIC, in microseconds
    if (sd_bus_get_timeout(bus_.get(), &deadline) < 0 || deadline == UINT64_MAX) return;
    timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(deadline)));
    timer_.async_wait([weak = weak_from_this(), round](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (!self || self->stopped_ || error || round != self->round_) return;
      self->socket_.cancel();
      self->go_on();
    });
  }

  void lost(int failed) {
    no_answer(std::strerror(-failed));
    wrong_ = false;
    again();
  }

  void again() {
    close();
    timer_.expires_after(times_.again);
    timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
      const auto self = weak.lock();
      if (self && !self->stopped_ && !error) self->begin();
    });
  }

  void close() {
    boost::system::error_code ignored;
    socket_.close(ignored);
    bus_.reset();
  }

  friend class MeteredLink;
  Times times_;
  std::unique_ptr<sd_bus, CloseBus> bus_;
  asio::posix::stream_descriptor socket_;  // a second descriptor of the bus's
  asio::steady_timer timer_;
  bool stopped_ = false;
  bool wrong_ = false;  // the last answer was none
  std::uint64_t round_ = 0;  // of waits: of two that end together one goes on
  bool nobody_answers_ = false;
  std::optional<bool> metered_;
};

MeteredLink::MeteredLink(asio::any_io_executor executor, Times times)
    : impl_(std::make_shared<Impl>(std::move(executor), times)) {}

MeteredLink::~MeteredLink() {
  impl_->stop();
}

void MeteredLink::start() {
  impl_->begin();
}

void MeteredLink::stop() {
  impl_->stop();
}

std::optional<std::string> MeteredLink::costs() const {
  return impl_->costs();
}

}  // namespace outcrop::agent
