#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "platform/http/url.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/registry/rollout_limits.hpp"

namespace outcrop::fleet {

// host.toml. Paths are absolute or start at the folder of the file.

// A broker that somebody else runs, which must then give what ours gives (docs/fleet.md).
struct ExternalBroker {
  std::string host;
  std::uint16_t port = 8883;
  transport::TlsFiles files;               // how outcropd connects
  std::filesystem::path boards_authority;  // what boards must trust to believe that broker, PEM
};

struct BrokerConfig {
  std::string listen = "127.0.0.1";
  std::uint16_t port = 8883;
  std::vector<std::string> names;  // of the certificate; the first is what boards are told
  std::filesystem::path program = "/usr/sbin/mosquitto";
  std::chrono::seconds patience{30};  // with one that answers nothing, before it is restarted
  std::optional<ExternalBroker> external;
};

struct RolloutConfig {  // what a rollout has where the command does not say
  std::chrono::seconds soak{60};
  messages::OnUnmeasurable on_unmeasurable = messages::OnUnmeasurable::hold;
  RolloutLimits limits;
  std::chrono::hours patience{24};
};

struct TrustConfig {
  std::filesystem::path root;
  std::filesystem::path timestamp_key;
  std::filesystem::path snapshot_key;
  std::filesystem::path director_key;  // beside timestamp_key where nothing is said
  std::chrono::days timestamp_validity{7};
  bool believe_clock = false;  // sign by the clock also where nobody keeps it right
};

// What is known of boards while they serve (docs/monitoring.md).
struct MonitorConfig {
  std::chrono::seconds interval{300};       // between telemetry of a board; 0: none is asked for
  std::chrono::hours measure_every{0};      // what boards serve is measured again; 0: when somebody asks
  ByteCount history = ByteCount::mib(4096);  // on the disk, at most
};

// Where the history is kept; host.toml, [history].
struct HistoryConfig {
  std::string store;  // "postgresql://..."; "": in files below the state folder
};

// Pages and API by TCP, beside the Unix socket.
struct HttpConfig {
  std::string address;  // numeric; one that is not loopback has a certificate
  std::uint16_t port = 0;
  std::optional<std::filesystem::path> certificate;  // PEM, with its chain; both or neither
  std::optional<std::filesystem::path> key;
  bool open_to_viewers = false;  // on loopback in plain: who has no token may look
  std::size_t board_metrics = 0;  // at /metrics/boards: of so many boards; 0: there are none
  static constexpr std::int64_t most_board_metrics = 1500;  // of five series each, below what a scrape may have
  // Who comes with a certificate of this authority needs no token.
  struct Certificates {
    std::filesystem::path authority;           // PEM
    std::map<std::string, std::string> roles;  // of common names: viewer, operator, admin
  };
  std::optional<Certificates> certificates;
};

// Who is told what happens; host.toml, [webhooks.NAME].
struct WebhookConfig {
  std::string name;
  http::Url url;
  std::filesystem::path secret;             // a file; at least 16 bytes, without blanks around
  std::set<std::string> actions;            // of the audit log; none: all
  std::chrono::seconds timeout{10};
  std::optional<std::filesystem::path> authority;  // PEM; none: those whom the system trusts
};

struct HostConfig {
  std::filesystem::path state = "/var/lib/outcrop";
  std::filesystem::path socket = "/run/outcrop/outcropd.sock";
  unsigned socket_mode = 0660;
  std::optional<std::string> readers_group;  // may read by a socket of its own, and do nothing
  [[nodiscard]] std::filesystem::path readers_socket() const { return socket.parent_path() / "readers.sock"; }
  std::string log = "info";
  TrustConfig trust;
  BrokerConfig broker;
  RolloutConfig rollout;
  MonitorConfig monitor;
  HistoryConfig history;
  std::optional<HttpConfig> http;
  std::vector<WebhookConfig> webhooks;
};

// invalid_argument with file, line and key of what is wrong; not_found where there is no file.
[[nodiscard]] Result<HostConfig> read_host_config(const std::filesystem::path& file);

// The words of `on_unmeasurable`: hold, fail, activate.
[[nodiscard]] std::optional<messages::OnUnmeasurable> on_unmeasurable_from(std::string_view text);

}  // namespace outcrop::fleet
