#pragma once

#include <utility>  // before Asio

#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "platform/http/connection.hpp"
#include "platform/http/unix_listener.hpp"
#include "platform/spawn/spawn.hpp"

namespace outcrop::http {

namespace asio = boost::asio;
using asio::awaitable;

inline constexpr std::size_t most_connections = 256;
inline constexpr std::size_t most_readers = 512;              // of pieces
// A connection that asks nothing keeps its place so long although all are taken; one that never sent a byte, much less: local
// callers ask at once, and those who wait behind silent ones are to wait as short.
inline constexpr std::chrono::milliseconds kept_although_full{1000};
inline constexpr std::chrono::milliseconds kept_although_silent{50};

[[nodiscard]] Peer peer_of(asio::local::stream_protocol::socket& socket);
[[nodiscard]] Peer peer_of(asio::ip::tcp::socket& socket);

class Server::Impl {
 public:
  virtual ~Impl() = default;
  virtual void stop() = 0;
  [[nodiscard]] virtual std::uint16_t port() const = 0;
};

// Accepts connections of one kind, and gives places to them.
template <class Protocol>
class ServerOn : public Server::Impl,
                 public std::enable_shared_from_this<ServerOn<Protocol>> {
 public:
  ServerOn(const asio::any_io_executor& executor, int listening, const Protocol& protocol,
           std::optional<UnixListener> file, ServerRules rules)
      : file_(std::move(file)),
        acceptor_(executor, protocol, listening),
        free_place_(executor, asio::steady_timer::time_point::max()),
        rules_(std::move(rules)) {}

  void start() {
    const std::weak_ptr<ServerOn> weak = this->weak_from_this();
    rules_.may_stream = [weak] {
      const auto self = weak.lock();
      return self && self->connections_.size() - self->places_taken() < most_readers;
    };
    rules_.changed = [weak] {
      if (const auto self = weak.lock()) self->free_place_.cancel();
    };
    shared_rules_ = std::make_shared<const ServerRules>(std::move(rules_));
    platform::spawn(acceptor_.get_executor(), accept(this->shared_from_this()));
  }

  void stop() override {
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    free_place_.cancel();
    shared_rules_->room->stop();
    for (const auto& connection : connections_) connection->close();
    if (file_) file_->remove();
  }

  [[nodiscard]] std::uint16_t port() const override {
    if constexpr (std::is_same_v<Protocol, asio::ip::tcp>) return acceptor_.local_endpoint().port();
    return 0;
  }

 private:
  static auto awaiting_place(boost::system::error_code& error) {
    return asio::redirect_error(asio::use_awaitable, error);
  }

  [[nodiscard]] std::size_t places_taken() const {
    return static_cast<std::size_t>(
        std::count_if(connections_.begin(), connections_.end(),
                      [](const auto& connection) { return !connection->reads_pieces(); }));
  }

  // Whoever has asked nothing for too long gives up its place, the most overdue first. Where nobody has yet, it is looked
  // again when the first will have, or when a connection ends.
  void make_place() {
    std::shared_ptr<Connection> most_overdue;
    auto when = asio::steady_timer::time_point::max();
    for (const auto& connection : connections_) {
      if (!connection->waiting_since()) continue;
      const auto since = *connection->waiting_since();
      if (since + kept_although_silent >= when) continue;
      const auto over = since + (connection->is_silent() ? kept_although_silent : kept_although_full);
      if (over >= when) continue;
      when = over;
      most_overdue = connection;
    }
    free_place_.expires_at(when);
    if (most_overdue && when <= std::chrono::steady_clock::now()) {
      free_place_.expires_at(asio::steady_timer::time_point::max());
      most_overdue->close();
    }
  }

  static awaitable<void> accept(std::shared_ptr<ServerOn> self) {
    while (!self->stopped_) {
      boost::system::error_code error;
      if (self->places_taken() >= most_connections) {
        self->make_place();
        co_await self->free_place_.async_wait(awaiting_place(error));
        continue;
      }
      typename Protocol::socket socket =
          co_await self->acceptor_.async_accept(awaiting_place(error));
      if (self->stopped_) break;
      if (error) {
        spdlog::warn("accepting a connection: {}", error.message());
        // Out of file descriptors, say: not at once again.
        asio::steady_timer pause(self->acceptor_.get_executor(), std::chrono::seconds(1));
        co_await pause.async_wait(awaiting_place(error));
        continue;
      }
      Peer peer = peer_of(socket);
      const auto connection = self->shared_rules_->connect(
          AnySocket(std::move(socket)), std::move(peer), self->shared_rules_);
      self->connections_.insert(connection);
      platform::spawn(self->acceptor_.get_executor(), serve(self, connection));
    }
  }

  static awaitable<void> serve(std::shared_ptr<ServerOn> self, std::shared_ptr<Connection> connection) {
    co_await connection->serve();
    self->connections_.erase(connection);
    self->free_place_.cancel();
  }

  std::optional<UnixListener> file_;
  asio::basic_socket_acceptor<Protocol, asio::any_io_executor> acceptor_;
  asio::steady_timer free_place_;  // cancelled when a connection ends or begins to read pieces
  ServerRules rules_;
  std::shared_ptr<const ServerRules> shared_rules_;
  std::set<std::shared_ptr<Connection>> connections_;
  bool stopped_ = false;
};

template <class Protocol>
std::shared_ptr<Server::Impl> start_server(const asio::any_io_executor& executor, int listening,
                                           const Protocol& protocol,
                                           std::optional<UnixListener> file, ServerRules rules) {
  auto impl = std::make_shared<ServerOn<Protocol>>(executor, listening, protocol, std::move(file),
                                                   std::move(rules));
  impl->start();
  return impl;
}

}  // namespace outcrop::http
