#include "trainer_host/fleet/broker/configuration.hpp"

#include <unistd.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view depot_name = "host";  // of the only depot (daemon.cpp)

// %u is the common name of the certificate; a client id could be made up. What a board may not read
// is not delivered to it: mosquitto accepts every SUBSCRIBE. What it may write is eight topics, so that
// what it has retained there is bounded.
std::string access_rules() {
  return "pattern write outcrop/v1/d/%u/status\n"
         "pattern write outcrop/v1/d/%u/up/progress\n"
         "pattern write outcrop/v1/d/%u/up/report\n"
         "pattern write outcrop/v1/d/%u/up/telemetry\n"
         "pattern write outcrop/v1/d/%u/up/layers\n"
         "pattern write outcrop/v1/d/%u/up/picture\n"
         "pattern write outcrop/v1/d/%u/up/renewal\n"
         "pattern write outcrop/v1/req/%u\n"
         "pattern write outcrop/v1/req/%u/" +
         std::string(depot_name) +
         "\n"
         "pattern read outcrop/v1/d/%u/cmd\n"
         "pattern read outcrop/v1/d/%u/ask\n"
         "pattern read outcrop/v1/d/%u/rx\n"
         "pattern read outcrop/v1/blob/+\n"
         "pattern read outcrop/v1/meta/#\n";
}

std::string host_access_rules() {
  return "user " + std::string(host_name) +
         "\n"
         "topic readwrite outcrop/v1/#\n"
         "topic read $SYS/#\n";
}

// The largest message is a signed role; a packet has a topic and properties besides.
constexpr std::uint64_t largest_message = trust::envelope_limit.value();
constexpr int most_connections = 20'000;
constexpr std::uint64_t largest_packet = largest_message + ByteCount::kib(64).value();

}  // namespace

Status write_configuration(const BrokerPaths& paths, const std::string& listen, std::uint16_t port,
                           std::uint16_t host_port) {
  const std::string folder = paths.folder();
  if (folder.find_first_of("\r\n") != std::string::npos) {
    return fail(ErrorCode::invalid_argument, "the broker's folder has a line break in its name");
  }
  std::string text = "# Written by outcropd at each start.\n";
  const auto line = [&](std::string_view key, const std::string& value) {
    text.append(key).append(" ").append(value).append("\n");
  };
  if (::geteuid() == 0) line("user", "root");  // its files are root's, and not readable by others
  line("per_listener_settings", "true");
  const auto listener = [&](const std::string& where, const fs::path& clients,
                            const fs::path& access) {
    line("listener", where);
    line("cafile", clients);
    line("certfile", paths.certificate("server"));
    line("keyfile", paths.key("server"));
    line("tls_version", "tlsv1.2");  // at least
    line("require_certificate", "true");
    line("use_identity_as_username", "true");
    line("allow_anonymous", "false");
    line("acl_file", access);
  };
  // mosquitto takes "::" for IPv6 alone; without an address it listens at all there are.
  listener(std::to_string(port) + (listen == "::" ? "" : " " + listen), paths.clients(),
           paths.access());
  line("crlfile", paths.revoked());
  line("use_username_as_clientid", "true");  // else a board could take another's session over
  line("max_connections", std::to_string(most_connections));
  listener(std::to_string(host_port) + " " + host_address, paths.own_authority(),
           paths.host_access());
  line("set_tcp_nodelay", "true");
  line("persistence", "false");
  line("message_size_limit", std::to_string(largest_message));
  line("max_packet_size", std::to_string(largest_packet));
  // A board has eight chunks of 64 KiB on the way. What is more than a queue holds mosquitto drops,
  // and both sides say again what counts; what is more than its memory holds, it refuses.
  line("max_inflight_messages", "64");
  // outcropd is sent what all boards have retained at once, so that it is bytes that bound a queue.
  line("max_queued_messages", std::to_string(most_connections));
  line("max_queued_bytes", std::to_string(ByteCount::mib(16).value()));
  line("sys_interval", "1");  // slow_readers.hpp
  line("memory_limit", std::to_string(broker_memory.value()));
  line("log_dest", "file " + paths.log().string());
  for (const char* type : {"error", "warning", "notice", "information"}) line("log_type", type);
  line("log_timestamp_format", "%Y-%m-%dT%H:%M:%S");
  OUTCROP_CHECK(write_file_durably(paths.access(), access_rules()));
  OUTCROP_CHECK(write_file_durably(paths.host_access(), host_access_rules()));
  return write_file_durably(paths.configuration(), text);
}

}  // namespace outcrop::fleet
