#pragma once

#include <utility>  // before Asio

#include <boost/asio/any_io_executor.hpp>

#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/broker/broker.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop {

// What outcropd starts, with mutual TLS, for tests: a broker on a free port and an authority whose
// boards it lets in. Throws std::runtime_error where something fails.
class FleetBroker {
 public:
  explicit FleetBroker(boost::asio::any_io_executor executor);

  [[nodiscard]] fleet::Broker& broker() { return *broker_; }
  [[nodiscard]] const pki::Authority& devices() const { return devices_; }
  // As outcropd connects.
  [[nodiscard]] transport::SessionOptions host() const;
  // Enrols a board of this name: issues a certificate, made by `authority` where one is given.
  // Comes back within 50 to 500 ms. Its key and certificate are at tls->key, tls->certificate.
  [[nodiscard]] transport::SessionOptions enroll(const std::string& name,
                                                 const pki::Authority* authority = nullptr);
  // Revokes what enroll() gave, tells the broker, and has the connection ended.
  void revoke(const transport::SessionOptions& board);
  void stop_broker() { broker_.reset(); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  pki::Authority devices_;
  std::unique_ptr<fleet::Broker> broker_;
  int enrolled_ = 0;
};

}  // namespace outcrop
