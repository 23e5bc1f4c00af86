#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

#include "platform/http/room.hpp"
#include "platform/http/server.hpp"

namespace outcrop::http {

using AnySocket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::any_io_executor>;

struct Peer {
  std::uint32_t uid = 0;    // of a Unix socket
  std::string address{};    // of TCP
  std::string certificate{};  // of TLS: common name of the client's
};

// One connection: requests one after the other, each answered before the next is read.
class Connection {
 public:
  using Time = std::chrono::steady_clock::time_point;

  virtual ~Connection() = default;
  [[nodiscard]] virtual boost::asio::awaitable<void> serve() = 0;  // until its end
  virtual void close() = 0;
  // Since when it has been waited for a whole request; none while one is answered.
  [[nodiscard]] const std::optional<Time>& waiting_since() const { return waiting_since_; }
  // Whether it has not sent a byte yet that could become a request.
  [[nodiscard]] virtual bool is_silent() = 0;
  [[nodiscard]] bool reads_pieces() const { return reads_pieces_; }

 protected:
  std::optional<Time> waiting_since_ = std::chrono::steady_clock::now();
  bool reads_pieces_ = false;
};

// What the connections of a server have in common.
struct ServerRules {
  ByteCount longest_body;
  Handler handler;
  Admit admit;
  std::shared_ptr<Room> room;
  std::function<std::shared_ptr<Connection>(AnySocket, Peer, std::shared_ptr<const ServerRules>)>
      connect{};
  std::function<bool()> may_stream = [] { return true; };
  std::function<void()> changed = [] {};  // one began to read pieces
};

}  // namespace outcrop::http
