#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::fleet {

struct DepotStatistics {
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
  std::uint64_t refused = 0;  // requests for what is not there, or malformed
};

// Answers chunk requests (SCHEMA.md, "Transfer") with at most 16 publishes in all on their way to
// the socket: more, and Paho's receive thread may block for a second. Boards take turns, so that
// one that asks for much does not hold up the others; of one board at most 64 indexes wait, further
// ones are dropped and asked for again. Nothing is remembered over a lost connection: boards ask
// again.
class Depot {
 public:
  // `name` as in SCHEMA.md, [a-z0-9-]{1,63}. Lives on the session's executor.
  Depot(transport::Session& session, BlobStore store, std::string name);
  ~Depot();

  // Called with a board that asks for far more than any can take: its requests fill the broker's queue for this host,
  // which then does not hear even the broker itself. Every few seconds while that goes on.
  void on_flood(std::function<void(const std::string& device)> told);

  // To be called by the owner of the session's handlers: after each connect (subscribes), after
  // each loss, and with each message; returns whether it was a request.
  void on_connected();
  void on_lost();
  bool on_message(const transport::Message& message);

  // Bytes that boards were sent of late (two minutes at most), by name.
  [[nodiscard]] std::map<std::string, std::uint64_t> sent_of_late() const;
  void forget_sent(const std::string& device);
  [[nodiscard]] const DepotStatistics& statistics() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
