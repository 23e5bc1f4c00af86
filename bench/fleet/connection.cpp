#include "bench/fleet/connection.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

namespace outcrop::bench {
namespace asio = boost::asio;
using boost::system::error_code;

Connection::Connection(const asio::any_io_executor& executor, asio::ssl::context& tls, const Identity& identity)
    : stream_(executor, tls) {
  identity.prove_by(stream_.native_handle());
}

void Connection::start(const asio::ip::tcp::endpoint& broker, const mqtt::Connect& as, Handlers handlers) {
  handlers_ = std::move(handlers);
  waiting_ = mqtt::connect(as);
  stream_.next_layer().async_connect(broker, [self = shared_from_this()](const error_code& refused) {
    if (refused) return self->lose("connecting: " + refused.message());
    if (self->ended_) return;
    self->stream_.next_layer().set_option(asio::ip::tcp::no_delay(true));
    self->stream_.async_handshake(asio::ssl::stream_base::client, [self](const error_code& failed) {
      if (failed) return self->lose("TLS: " + failed.message());
      if (self->ended_) return;
      self->write();
      self->read();
    });
  });
}

void Connection::read() {
  stream_.async_read_some(asio::buffer(piece_), [self = shared_from_this()](const error_code& error, std::size_t size) {
    if (error) return self->lose("reading: " + error.message());
    self->received_.append(self->piece_.data(), size);
    std::size_t at = 0;
    while (!self->ended_) {
      const auto taken = mqtt::take(std::string_view(self->received_).substr(at));
      if (!taken) break;
      self->take(taken->packet);
      at += taken->size;
    }
    self->received_.erase(0, at);
    if (self->received_.empty()) self->received_.shrink_to_fit();
    if (!self->ended_) self->read();
  });
}

void Connection::take(const mqtt::Packet& packet) {
  if (const auto* accepted = std::get_if<mqtt::Connected>(&packet)) {
    if (accepted->reason != 0) return lose("refused: reason " + std::to_string(accepted->reason));
    return handlers_.accepted();
  }
  if (const auto* message = std::get_if<mqtt::Message>(&packet)) {
    if (message->id != 0) send(mqtt::acknowledge(message->id));
    return handlers_.message(*message);
  }
  if (const auto* ended = std::get_if<mqtt::Disconnected>(&packet)) {
    return lose("the broker ended it: reason " + std::to_string(ended->reason));
  }
  if (std::holds_alternative<mqtt::Malformed>(packet)) lose("the broker sent what is no packet");
}

std::uint16_t Connection::next_id() {
  if (++last_id_ == 0) last_id_ = 1;
  return last_id_;
}

void Connection::publish(const transport::Message& message) {
  send(mqtt::publish(next_id(), message));
}

void Connection::subscribe(const std::vector<std::string>& filters) {
  send(mqtt::subscribe(next_id(), filters));
}

void Connection::send(const std::string& packet) {
  if (ended_) return;
  waiting_ += packet;
  write();
}

void Connection::write() {
  if (!sending_.empty() || waiting_.empty()) return;
  sending_.swap(waiting_);
  asio::async_write(stream_, asio::buffer(sending_), [self = shared_from_this()](const error_code& error, std::size_t) {
    self->sending_.clear();
    if (error) return self->lose("writing: " + error.message());
    self->write();
  });
}

void Connection::lose(const std::string& why) {
  if (ended_) return;
  ended_ = true;
  error_code ignored;
  stream_.next_layer().close(ignored);
  handlers_.lost(why);
}

void Connection::drop() {
  ended_ = true;
  error_code ignored;
  stream_.next_layer().close(ignored);
}

}  // namespace outcrop::bench
