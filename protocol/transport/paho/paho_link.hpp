#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "protocol/transport/session.hpp"

namespace outcrop::transport {

// One attempt at a connection, and the connection that comes of it; never used for a second one,
// so that nothing of the last (queues, unanswered messages) reaches into the next.
//
// The functions of Events run on Paho's threads, which serve all links of the process and hold
// Paho's lock: they must post and return. None runs after the link is destroyed.
class PahoLink {
 public:
  struct Events {
    std::function<void(Status)> connected;  // once; an error: it could not
    std::function<void(Error, bool)> lost;  // true: another took over our identity
    std::function<void(Message)> message;
    std::function<void(std::uint64_t, Status)> done;  // of an operation, by its id
    std::function<void()> disconnected;               // after disconnect()
  };

  // Begins to connect, to this address of options.host. Not to be called, nor to be destroyed, on
  // one of Paho's threads.
  [[nodiscard]] static Result<std::unique_ptr<PahoLink>> open(const SessionOptions& options,
                                                              const std::string& address,
                                                              Events events);
  ~PahoLink();

  // Each of these is answered by done(id) or returns an error, not both.
  [[nodiscard]] Status publish(Message message, Delivery delivery, std::uint64_t id);
  [[nodiscard]] Status subscribe(const std::string& filter, Delivery delivery, std::uint64_t id);
  [[nodiscard]] Status unsubscribe(const std::string& filter, std::uint64_t id);
  // Waits for what is on its way (at most `patience`), then says good-bye.
  [[nodiscard]] Status disconnect(std::chrono::milliseconds patience);

 private:
  class Impl;
  explicit PahoLink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outcrop::transport
