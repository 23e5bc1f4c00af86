#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"

namespace outcrop::bench {

// A mosquitto with the configuration that outcropd writes, but for the limit on a message's size:
// mosquitto_pub sends a file as one. Without TLS also without identities and access rules, which
// hang on certificates.
class TransferBroker {
 public:
  [[nodiscard]] static Result<TransferBroker> start(const std::filesystem::path& folder, bool tls);

  // `who`: "host", "board" or, for mosquitto_pub, "publisher": under the host's name it would take
  // the depot's session over.
  [[nodiscard]] transport::SessionOptions session(const std::string& who) const;
  // What mosquitto_pub and mosquitto_sub need to connect as `who`.
  [[nodiscard]] std::vector<std::string> client_options(const std::string& who) const;

 private:
  TransferBroker(std::filesystem::path folder, bool tls, std::uint16_t port,
                 fleet::Mosquitto mosquitto);

  std::filesystem::path folder_;
  bool tls_;
  std::uint16_t port_;
  fleet::Mosquitto mosquitto_;
};

}  // namespace outcrop::bench
