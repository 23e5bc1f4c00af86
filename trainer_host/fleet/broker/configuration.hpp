#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Where things are in the broker's folder.
class BrokerPaths {
 public:
  explicit BrokerPaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path at(std::string_view name) const { return folder_ / name; }

  [[nodiscard]] std::filesystem::path authority() const { return at("authority"); }
  [[nodiscard]] std::filesystem::path devices() const { return at("devices"); }
  [[nodiscard]] std::filesystem::path takeover() const { return at("takeover"); }
  [[nodiscard]] std::filesystem::path clients() const { return at("clients.pem"); }
  [[nodiscard]] std::filesystem::path revoked() const { return at("revoked.pem"); }
  [[nodiscard]] std::filesystem::path configuration() const { return at("mosquitto.conf"); }
  [[nodiscard]] std::filesystem::path access() const { return at("acl"); }
  [[nodiscard]] std::filesystem::path host_access() const { return at("acl.host"); }
  [[nodiscard]] std::filesystem::path own_authority() const {
    return authority() / "authority.pem";
  }
  [[nodiscard]] std::filesystem::path log() const { return at("mosquitto.log"); }
  [[nodiscard]] std::filesystem::path certificate(std::string_view who) const {
    return at(std::string(who) + ".pem");
  }
  [[nodiscard]] std::filesystem::path key(std::string_view who) const {
    return at(std::string(who) + ".key");
  }

 private:
  std::filesystem::path folder_;
};

// The name that outcropd has at its broker: ':' is in no device's name.
inline constexpr std::string_view host_name = "outcropd:host";
// Where outcropd's own listener is.
inline constexpr const char* host_address = "127.0.0.1";

// Writes mosquitto.conf and the access rules of SCHEMA.md, "Topics", of two listeners: boards are let
// in by the device authorities and may do what a board may, whatever their certificate calls them;
// outcropd is let in on `host_port` of loopback by the broker's own authority, which nobody else has.
[[nodiscard]] Status write_configuration(const BrokerPaths& paths, const std::string& listen,
                                         std::uint16_t port, std::uint16_t host_port);

// What mosquitto limits itself to, and what its control group may take, with what it does not count.
inline constexpr ByteCount broker_memory = ByteCount::mib(1024);
inline constexpr ByteCount most_memory_of_broker = ByteCount::mib(1280);

}  // namespace outcrop::fleet
