#pragma once

#include <utility>  // before Asio

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include "bench/fleet/identity.hpp"
#include "bench/fleet/mqtt_packets.hpp"

namespace outcrop::bench {

// One connection of one board: TCP, mutual TLS, MQTT v5. Made once, used once, on the thread of its executor.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Handlers {
    std::function<void()> accepted;  // by the broker
    std::function<void(const mqtt::Message&)> message;
    std::function<void(const std::string& why)> lost;  // also before it was accepted; once, and not after drop()
  };
  Connection(const boost::asio::any_io_executor& executor, boost::asio::ssl::context& tls, const Identity& identity);

  void start(const boost::asio::ip::tcp::endpoint& broker, const mqtt::Connect& as, Handlers handlers);
  void send(const std::string& packet);
  void publish(const transport::Message& message);
  void subscribe(const std::vector<std::string>& filters);
  void drop();  // without a good-bye

 private:
  [[nodiscard]] std::uint16_t next_id();
  void read();
  void take(const mqtt::Packet& packet);
  void write();
  void lose(const std::string& why);

  boost::asio::ssl::stream<boost::asio::ip::tcp::socket> stream_;
  Handlers handlers_;
  std::array<char, 4096> piece_{};
  std::string received_;
  std::string waiting_;  // to be sent
  std::string sending_;
  std::uint16_t last_id_ = 0;
  bool ended_ = false;
};

}  // namespace outcrop::bench
