#include "bench/transfer_broker.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/fleet/broker/configuration.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::bench {
namespace fs = std::filesystem;
namespace {

constexpr const char* program = "/usr/sbin/mosquitto";

Status make_identity(const pki::Authority& authority, const fleet::BrokerPaths& paths,
                     const std::string& who, const pki::Authority::Subject& subject) {
  OUTCROP_TRY(key, trust::PrivateKey::generate());
  OUTCROP_TRY(certificate, authority.issue(subject, key.public_key()));
  OUTCROP_CHECK(key.write_pem(paths.key(who)));
  return write_file_durably(paths.certificate(who), certificate);
}

Status make_identities(const fleet::BrokerPaths& paths) {
  using enum pki::Authority::Usage;
  OUTCROP_TRY(authority, pki::Authority::open_or_make(paths.authority(), "Outcrop benchmark"));
  OUTCROP_TRY(list, authority.revocation_list());
  OUTCROP_CHECK(write_file_durably(paths.clients(), authority.certificate()));
  OUTCROP_CHECK(write_file_durably(paths.revoked(), list));
  OUTCROP_CHECK(make_identity(authority, paths, "server", {"localhost", {"127.0.0.1"}, server}));
  OUTCROP_CHECK(
      make_identity(authority, paths, "host", {std::string(fleet::host_name), {}, client}));
  OUTCROP_CHECK(make_identity(authority, paths, "publisher", {"publisher", {}, client}));
  return make_identity(authority, paths, "board", {"board", {}, client});
}

// Without the lines that start so.
std::string without(const std::string& text, const std::vector<std::string_view>& keys) {
  std::istringstream lines(text);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const std::string_view key = std::string_view(line).substr(0, line.find(' '));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) kept += line + "\n";
  }
  return kept;
}

// With that behind each line that opens a listener.
std::string each_listener(const std::string& text, const std::string& more) {
  std::istringstream lines(text);
  std::string all;
  for (std::string line; std::getline(lines, line);) {
    all += line + "\n";
    if (line.starts_with("listener ")) all += more + "\n";
  }
  return all;
}

// Host and board come to the boards' listener, so that both have the same way.
Status configure(const fleet::BrokerPaths& paths, bool tls, std::uint16_t port) {
  OUTCROP_TRY(host_port, fleet::check_port_free(fleet::host_address, 0));
  OUTCROP_CHECK(fleet::write_configuration(paths, "127.0.0.1", port, host_port));
  OUTCROP_TRY(rules, read_text_file(paths.access()));
  OUTCROP_CHECK(write_file_durably(paths.access(),
                                   rules + "\nuser publisher\ntopic readwrite outcrop/v1/#\n" + "\nuser " +
                                       std::string(fleet::host_name) + "\ntopic readwrite outcrop/v1/#\n"));
  OUTCROP_TRY(text, read_text_file(paths.configuration()));
  text = without(text, {"message_size_limit", "max_packet_size", "max_queued_bytes"});
  if (!tls) {
    text = each_listener(without(text, {"cafile", "crlfile", "certfile", "keyfile", "tls_version",
                                        "require_certificate", "use_identity_as_username",
                                        "use_username_as_clientid", "allow_anonymous", "acl_file"}),
                         "allow_anonymous true");
  }
  return write_file_durably(paths.configuration(), text);
}

}  // namespace

TransferBroker::TransferBroker(fs::path folder, bool tls, std::uint16_t port,
                               fleet::Mosquitto mosquitto)
    : folder_(std::move(folder)), tls_(tls), port_(port), mosquitto_(std::move(mosquitto)) {}

Result<TransferBroker> TransferBroker::start(const fs::path& folder, bool tls) {
  const fleet::BrokerPaths paths(folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  OUTCROP_TRY(port, fleet::check_port_free("127.0.0.1", 0));
  if (tls) OUTCROP_CHECK(make_identities(paths));
  OUTCROP_CHECK(configure(paths, tls, port));
  OUTCROP_TRY(mosquitto, fleet::Mosquitto::start(program, paths.configuration(), paths.log(),
                                                 "127.0.0.1", port));
  return TransferBroker(folder, tls, port, std::move(mosquitto));
}

transport::SessionOptions TransferBroker::session(const std::string& who) const {
  const fleet::BrokerPaths paths(folder_);
  transport::SessionOptions options;
  options.port = port_;
  options.client_id = who;
  if (tls_) {
    options.tls = {paths.authority() / "authority.pem", paths.certificate(who), paths.key(who)};
  }
  return options;
}

std::vector<std::string> TransferBroker::client_options(const std::string& who) const {
  std::vector<std::string> options{"-V", "mqttv5", "-h", "127.0.0.1", "-p", std::to_string(port_)};
  if (tls_) {
    const auto tls = *session(who).tls;
    options.insert(options.end(),
                   {"--cafile", tls.authority, "--cert", tls.certificate, "--key", tls.key});
  }
  return options;
}

}  // namespace outcrop::bench
