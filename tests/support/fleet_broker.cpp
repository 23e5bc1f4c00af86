#include "tests/support/fleet_broker.hpp"

#include "protocol/base/durable_file.hpp"
#include "tests/support/value_of.hpp"

namespace outcrop {
FleetBroker::FleetBroker(boost::asio::any_io_executor executor)
    : devices_(
          value_of(pki::Authority::open_or_make(folder_.path() / "authority", "Outcrop devices"))) {
  fleet::BrokerOptions options;
  options.folder = folder_.path() / "broker";
  options.port = 0;
  broker_ = value_of(fleet::Broker::start(std::move(executor), options));
  check(broker_->trust_devices(devices_.certificate(), value_of(devices_.revocation_list())));
}

transport::SessionOptions FleetBroker::host() const {
  return broker_->host_session();
}

transport::SessionOptions FleetBroker::enroll(const std::string& name,
                                              const pki::Authority* authority) {
  const std::filesystem::path file = folder_.path() / (name + "-" + std::to_string(++enrolled_));
  const auto key = value_of(trust::PrivateKey::generate());
  const auto certificate =
      value_of((authority == nullptr ? devices_ : *authority)
                   .issue({name, {}, pki::Authority::Usage::client}, key.public_key()));
  transport::SessionOptions board = broker_->client_session();
  board.client_id = name;
  board.tls->certificate = file.string() + ".pem";
  board.tls->key = file.string() + ".key";
  board.first_retry = std::chrono::milliseconds(50);
  board.last_retry = std::chrono::milliseconds(500);
  check(write_file_durably(board.tls->certificate, certificate));
  check(key.write_pem(board.tls->key));
  return board;
}

void FleetBroker::revoke(const transport::SessionOptions& board) {
  const std::string certificate = value_of(read_text_file(board.tls->certificate));
  const std::string list = value_of(devices_.revoke(certificate, "lost", SystemClock().now()));
  check(broker_->trust_devices(devices_.certificate(), list));
  broker_->disconnect(value_of(pki::read_certificate(certificate)).common_name);
}

}  // namespace outcrop
