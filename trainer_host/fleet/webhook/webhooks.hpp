#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/config/host_config.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What is signed, and how: "t=SECONDS,v1=HEX", HMAC-SHA256 by the secret over "SECONDS.BODY".
[[nodiscard]] std::string webhook_signature(const std::string& secret, Timestamp time, const std::string& body);

// Tells receivers what the audit log tells, entry by entry in its order, each until the receiver takes it (2xx): again
// after pauses that grow. How far each of them is stands in the registry, so that a kill loses nothing: what was taken and not
// noted is told again, by the same id. A receiver that hangs holds up no other. One that is new hears what comes from now on.
class Webhooks {
 public:
  struct Pauses {
    std::chrono::milliseconds look{1000};  // for new entries
    std::chrono::milliseconds first{5000};
    std::chrono::milliseconds last{std::chrono::hours(1)};
  };
  // Where a secret cannot be read, or is too short: the errors of it.
  [[nodiscard]] static Result<std::unique_ptr<Webhooks>> start(boost::asio::any_io_executor executor, Registry& registry,
                                                               monitor::AuditLog& audit, const Clock& clock,
                                                               const std::vector<WebhookConfig>& configs, const Pauses& pauses);
  ~Webhooks();

  // Who does not take what it is told, a sentence each.
  [[nodiscard]] std::vector<std::string> undelivered() const;

 private:
  struct Shared;
  struct Hook;
  explicit Webhooks(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Shared> shared_;
};

}  // namespace outcrop::fleet
