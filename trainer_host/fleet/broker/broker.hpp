#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"
#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/broker/broker_group.hpp"

namespace outcrop::fleet {

struct BrokerOptions {
  std::filesystem::path
      folder;  // <state>/broker: certificates, configuration, log; made where missing
  std::filesystem::path program = "/usr/sbin/mosquitto";
  std::string listen = "127.0.0.1";  // address
  std::uint16_t port = 8883;         // 0: a free one
  std::vector<std::string>
      names;  // further DNS names and addresses of the certificate; localhost, 127.0.0.1 always
  std::optional<BrokerGroup> group{};  // that it runs in; none: outcropd's
  // Called with the name of a board whose identity two machines use (twins.hpp), and from where.
  std::function<void(const std::string& device, const std::string& places)> on_twins{};
  // Called with certificates that were refused (knocks.hpp), once for each address between two looks into the log.
  std::function<void(const std::string& address, std::uint64_t count, const std::set<std::string>& names)> on_knocks{};
  // Called before it is started again for a reason of ours, which ends every connection to it.
  std::function<void(const std::string& why)> on_restart{};
  std::chrono::milliseconds log_check{60'000};  // between two looks into mosquitto's log
};

// A mosquitto child with what a fleet needs: mutual TLS, identities from certificates, an ACL by
// pattern, TCP_NODELAY, no persistence (boards and host say again what counts). The child dies with
// the thread that started it and is started again, with back-off, when it dies alone. To be used on
// its executor only, and by one outcropd a folder.
//
//   authority/        our own CA (pki::Authority): vouches for the broker and for outcropd itself
//   server.pem/key    made anew at each start, as the next two
//   host.pem/key      outcropd's identity as a client, "outcropd:host", of our CA: good at outcropd's
//                     own listener, where no device authority lets anybody in
//   devices/          device authorities and their lists of revoked certificates, as given below
//   clients.pem       who may vouch for clients: our CA and the device CAs given below
//   revoked.pem       their CRLs
//   mosquitto.conf, acl, acl.host
class Broker {
 public:
  // Starts it and waits until it listens. Errors: not_found (no mosquitto: which package),
  // already_exists (the port is taken), internal with the last words of its log.
  [[nodiscard]] static Result<std::unique_ptr<Broker>> start(boost::asio::any_io_executor executor,
                                                             const BrokerOptions& options);
  ~Broker();

  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] int process_id() const;  // 0 while it is down
  // The processor time that it has had since it was started last; none while it is down.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> worked() const;
  // How outcropd itself connects.
  [[nodiscard]] transport::SessionOptions host_session() const;
  // How a client of this machine reaches what listens to boards; its files are its own to name.
  [[nodiscard]] transport::SessionOptions client_session() const;
  // What boards must trust to believe the broker, PEM.
  [[nodiscard]] const std::string& authority() const;

  // Clients of this device authority are let in; its CRL is obeyed. Durable; restarts the broker
  // where the authority is new, reloads it otherwise (open connections stay: see disconnect).
  // Errors: invalid_data, untrusted (a CRL that this authority did not sign), expired (a CRL older
  // than the one known).
  [[nodiscard]] Status trust_devices(std::string_view authority_pem, std::string_view crl_pem);
  // Clients of this device authority are let in no more. Durable; restarts the broker where it was known, which ends
  // their connections (the others come back).
  [[nodiscard]] Status distrust_devices(const trust::KeyId& authority);
  // Kills it and starts it anew, for one that hangs. Nothing while it is down: it comes back by
  // itself.
  void restart();
  // Ends a connection that is open under this name by taking its session over: for a board whose
  // certificate is in the CRL already.
  void disconnect(const std::string& device);

 private:
  class Impl;
  explicit Broker(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
