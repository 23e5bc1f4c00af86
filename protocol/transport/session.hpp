#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::transport {

// One connection to a broker by MQTT v5 that comes back by itself. An interface, so that nothing
// above it knows the library (transport/paho) and tests can lose and reorder messages.

struct Message {
  std::string topic;
  std::string payload;
  bool retained = false;  // to be retained (sent), or from the broker's memory (received)
};

enum class Delivery { at_most_once = 0, at_least_once = 1 };

// PEM files. The board's identity is its certificate's common name.
struct TlsFiles {
  std::filesystem::path authority;    // who may vouch for the other side
  std::filesystem::path certificate;  // our own
  std::filesystem::path key;
};

struct SessionOptions {
  // A name, every address of which is tried, or an address (of IPv6 without brackets). With TLS it
  // must stand in the broker's certificate.
  std::string host = "127.0.0.1";
  std::uint16_t port = 8883;
  // With use_username_as_clientid the broker replaces it by the certificate's common name.
  std::string client_id;
  std::optional<TlsFiles> tls;  // none: plain, for tests and benchmarks on loopback only
  std::optional<Message> will;  // sent by the broker when this connection is lost, at least once
  // A broker that hangs is noticed after twice this and a little.
  std::chrono::seconds keep_alive{20};
  std::chrono::seconds connect_timeout{10};  // of the name; at least 4 for each of its addresses
  // Between attempts (backoff.hpp).
  std::chrono::milliseconds first_retry{500};
  std::chrono::milliseconds last_retry{60'000};
  std::uint16_t receive_maximum = 64;
  // Messages that came and were not taken yet, at most, and never more than 32 MiB: whoever hears thousands needs more.
  std::size_t most_waiting = 1024;
};

// All are called on the session's executor, one at a time.
struct SessionHandlers {
  std::function<void()> connected;         // after each (re)connect: subscribe here, every time
  // And after each attempt that failed. already_exists: another connects by our identity.
  std::function<void(const Error&)> lost;
  std::function<void(Message)> message;
};

using Completion = std::function<void(Status)>;

// Not thread-safe: call it on its executor. Completions are called there too, exactly once, never
// from within the call. What is published while there is no connection fails at once with `io`:
// what must not be lost is its owner's to keep and to send again.
class Session {
 public:
  virtual ~Session() = default;

  // Connects, and goes on trying until stop().
  virtual void start(SessionHandlers handlers) = 0;
  // Says good-bye (the will is not sent), then calls `done`. No handler is called afterwards.
  virtual void stop(std::function<void()> done) = 0;
  [[nodiscard]] virtual bool connected() const = 0;
  // Messages that came faster than they were taken, and were let go: no more than
  // SessionOptions::most_waiting wait, whoever sends them. Whoever must not miss one asks for it again when this rises.
  [[nodiscard]] virtual std::uint64_t overflowed() const { return 0; }
  // Has this will from now on. Where there is a connection, whose will is the old one, it is ended
  // (the old one is not sent) and made anew at once.
  virtual void change_will(Message will) = 0;

  // Completes when the broker acknowledged (at least once) or when it was handed to the socket.
  // refused where the broker denies it (MQTT reason 135).
  virtual void publish(Message message, Delivery delivery, Completion done) = 0;
  virtual void subscribe(std::string filter, Delivery delivery, Completion done) = 0;
  virtual void unsubscribe(std::string filter, Completion done) = 0;
};

}  // namespace outcrop::transport
