#pragma once

#include <string>
#include <string_view>

namespace outcrop::transport::topics {

// The names of SCHEMA.md, "Topics".

inline std::string device(std::string_view name, std::string_view leaf) {
  return "outcrop/v1/d/" + std::string(name) + "/" + std::string(leaf);
}
inline std::string status(std::string_view name) {
  return device(name, "status");
}
inline std::string command(std::string_view name) {
  return device(name, "cmd");
}
// Requests that boards of before do not know, and do not read.
inline std::string ask(std::string_view name) {
  return device(name, "ask");
}
inline std::string receive(std::string_view name) {
  return device(name, "rx");
}
inline std::string up(std::string_view name, std::string_view kind) {
  return device(name, "up/" + std::string(kind));
}
inline std::string request(std::string_view name) {
  return "outcrop/v1/req/" + std::string(name);
}
inline std::string request(std::string_view name, std::string_view depot) {
  return request(name) + "/" + std::string(depot);
}
// role: "targets", "revoked", "stage-<model>", "snapshot", "timestamp", "root/<n>".
inline std::string metadata(std::string_view role) {
  return "outcrop/v1/meta/" + std::string(role);
}
inline constexpr std::string_view metadata_prefix = "outcrop/v1/meta/";

}  // namespace outcrop::transport::topics
