#include "trainer_host/fleet/config/host_config.hpp"

#include <algorithm>
#include <array>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::fleet {
namespace {

using platform::TomlReader;

constexpr std::array<std::string_view, 5> log_levels{"trace", "debug", "info", "warning", "error"};
constexpr std::size_t most_names = 64;

std::uint16_t read_port(TomlReader::Table& table, std::int64_t lowest) {
  return static_cast<std::uint16_t>(table.integer("port", 8883, lowest, 65535));
}

unsigned read_mode(TomlReader::Table& table) {
  const std::string text = table.text("socket_mode", "0660");
  const bool octal =
      text.size() == 4 && text[0] == '0' &&
      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c < '8'; });
  if (!octal) {
    table.refuse("socket_mode", "'" + text + "' is no mode; write it as \"0660\"");
    return 0660;
  }
  return static_cast<unsigned>(std::stoul(text, nullptr, 8));
}

TrustConfig read_trust(TomlReader::Table table) {
  TrustConfig trust;
  trust.root = table.path("root", std::nullopt);
  trust.timestamp_key = table.path("timestamp_key", std::nullopt);
  trust.snapshot_key = table.path("snapshot_key", std::nullopt);
  // Beside the timestamp's, wherever that lies: a default is not taken to be relative to the configuration once more.
  trust.director_key = table.has("director_key") ? table.path("director_key", std::nullopt)
                                                 : trust.timestamp_key.parent_path() / "director.key";
  trust.timestamp_validity =
      std::chrono::days(table.integer("timestamp_days", trust.timestamp_validity.count(), 2, 365));
  trust.believe_clock = table.boolean("believe_clock", trust.believe_clock);
  table.finish();
  return trust;
}

ExternalBroker read_external(TomlReader::Table table) {
  ExternalBroker broker;
  broker.host = table.text("host", std::nullopt);
  broker.port = read_port(table, 1);
  broker.files.authority = table.path("authority", std::nullopt);
  broker.files.certificate = table.path("certificate", std::nullopt);
  broker.files.key = table.path("key", std::nullopt);
  broker.boards_authority = table.path("boards_authority", broker.files.authority);
  table.finish();
  return broker;
}

BrokerConfig read_broker(TomlReader::Table table) {
  BrokerConfig broker;
  if (table.has("external")) {
    for (const char* key : {"listen", "port", "names", "program", "patience_seconds"}) {
      if (table.has(key)) {
        table.refuse(key,
                     "is for the broker that outcropd starts; [broker.external] names another");
      }
    }
    broker.external = read_external(table.table("external"));
    table.finish();
    return broker;
  }
  broker.listen = table.text("listen", broker.listen);
  broker.port = read_port(table, 0);
  broker.names = table.texts("names", broker.names, most_names);
  broker.program = table.path("program", broker.program);
  broker.patience =
      std::chrono::seconds(table.integer("patience_seconds", broker.patience.count(), 1, 3600));
  const bool everywhere = broker.listen == "0.0.0.0" || broker.listen == "::";
  if (everywhere && broker.names.empty()) {
    table.refuse("listen", "'" + broker.listen +
                               "' is no address that boards can be told; give the host's in names");
  }
  table.finish();
  return broker;
}

RolloutConfig read_rollout(TomlReader::Table table) {
  RolloutConfig rollout;
  rollout.soak =
      std::chrono::seconds(table.integer("soak_seconds", rollout.soak.count(), 0, 30L * 24 * 3600));
  const std::string unmeasurable = table.text("on_unmeasurable", "hold");
  if (const auto value = on_unmeasurable_from(unmeasurable)) {
    rollout.on_unmeasurable = *value;
  } else {
    table.refuse("on_unmeasurable",
                 "'" + unmeasurable + "' is not known; it must be hold, fail or activate");
  }
  RolloutLimits& limits = rollout.limits;
  limits.failed_share = table.number("failed_share", limits.failed_share, 0.0, 1.0);
  limits.slower_allowed = table.number("slower_allowed", limits.slower_allowed, 0.0, 100.0);
  limits.false_stops = table.number("false_stops", limits.false_stops, 1e-6, 0.5);
  const auto count = [&](const char* key, std::uint64_t otherwise, std::int64_t least) {
    return static_cast<std::uint64_t>(table.integer(key, static_cast<std::int64_t>(otherwise), least, 1'000'000));
  };
  limits.first_ring = count("first_ring", limits.first_ring, 1);
  limits.at_once = count("at_once", limits.at_once, 0);
  limits.a_minute = count("a_minute", limits.a_minute, 0);
  limits.deadline = std::chrono::minutes(table.integer("deadline_minutes", 0, 0, 30 * 24 * 60));
  rollout.patience =
      std::chrono::hours(table.integer("patience_hours", rollout.patience.count(), 0, 24 * 365));
  table.finish();
  return rollout;
}

MonitorConfig read_monitor(TomlReader::Table table) {
  MonitorConfig monitor;
  const std::int64_t interval = table.integer("interval_seconds", monitor.interval.count(), 0, 86'400);
  if (interval > 0 && interval < 10) {
    table.refuse("interval_seconds", std::to_string(interval) + " is too often; it must be 0 (none) or 10 to 86400");
  } else {
    monitor.interval = std::chrono::seconds(interval);
  }
  monitor.measure_every =
      std::chrono::hours(table.integer("measure_every_hours", monitor.measure_every.count(), 0, 24 * 366));
  monitor.history = ByteCount::mib(static_cast<std::uint64_t>(
      table.integer("history_mb", static_cast<std::int64_t>(monitor.history.value() >> 20), 16, 1 << 24)));
  table.finish();
  return monitor;
}

HistoryConfig read_history(TomlReader::Table table) {
  HistoryConfig history;
  history.store = table.text("store", "");
  if (!history.store.empty() && !history.store.starts_with("postgresql://") && !history.store.starts_with("postgres://")) {
    table.refuse("store", "is no URL of PostgreSQL; write it as \"postgresql://user@host/database\", or leave it out: then the "
                          "history is in files");
  }
  table.finish();
  return history;
}

// "127.0.0.1:8443", "[::1]:8443".
bool split_address(const std::string& text, HttpConfig& http) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const auto port = read_number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return false;
  http.port = *port;
  http.address = text.substr(0, colon);
  if (http.address.starts_with('[') && http.address.ends_with(']')) {
    http.address = http.address.substr(1, http.address.size() - 2);
  }
  return !http.address.empty();
}

HttpConfig::Certificates read_certificates(TomlReader::Table table) {
  HttpConfig::Certificates certificates;
  certificates.authority = table.path("authority", std::nullopt);
  for (const auto& [key, role] : {std::pair("viewers", "viewer"), std::pair("operators", "operator"), std::pair("admins", "admin")}) {
    for (const std::string& name : table.texts(key, std::vector<std::string>(), most_names)) {
      if (name.empty()) {
        table.refuse(key, "'' is no common name of a certificate");
      } else if (!certificates.roles.emplace(name, role).second) {
        table.refuse(key, "'" + name + "' is named twice: each certificate has one role");
      }
    }
  }
  table.finish();
  return certificates;
}

HttpConfig read_http(TomlReader::Table table) {
  HttpConfig http;
  const std::string listen = table.text("listen", std::nullopt);
  if (!listen.empty() && !split_address(listen, http)) {
    table.refuse("listen", "'" + listen + "' is no address with a port; write it as \"127.0.0.1:8443\"");
  }
  if (table.has("certificate")) http.certificate = table.path("certificate", std::nullopt);
  if (table.has("key")) http.key = table.path("key", std::nullopt);
  if (http.certificate.has_value() != http.key.has_value()) {
    table.refuse(http.key ? "key" : "certificate", "needs the other one, too: certificate and key");
  }
  http.open_to_viewers = table.boolean("open_to_viewers", false);
  http.board_metrics = static_cast<std::size_t>(table.integer("board_metrics", 0, 0, HttpConfig::most_board_metrics));
  const bool loopback = http.address.starts_with("127.") || http.address == "::1";
  if (!loopback && !http.address.empty() && !http.certificate) {
    table.refuse("listen", "'" + listen + "' is reached from other machines: give certificate and key, "
                           "or listen on 127.0.0.1");
  }
  if (http.open_to_viewers && (!loopback || http.certificate)) {
    table.refuse("open_to_viewers", "is for this machine alone: in plain, on 127.0.0.1");
  }
  if (table.has("certificates")) {
    http.certificates = read_certificates(table.table("certificates"));
    if (!http.certificate) table.refuse("certificates", "are shown by TLS: give certificate and key of this host, too");
  }
  table.finish();
  return http;
}

WebhookConfig read_webhook(TomlReader::Table table, const std::string& name) {
  WebhookConfig webhook;
  webhook.name = name;
  const std::string text = table.text("url", std::nullopt);
  if (const auto url = http::read_url(text)) {
    webhook.url = *url;
  } else if (!text.empty()) {
    table.refuse("url", url.error().message());
  }
  webhook.secret = table.path("secret", std::nullopt);
  const std::vector<std::string> actions = table.texts("actions", std::vector<std::string>(), most_names);
  webhook.actions = {actions.begin(), actions.end()};
  webhook.timeout = std::chrono::seconds(table.integer("timeout_seconds", webhook.timeout.count(), 1, 300));
  if (table.has("authority")) webhook.authority = table.path("authority", std::nullopt);
  table.finish();
  return webhook;
}

}  // namespace

std::optional<messages::OnUnmeasurable> on_unmeasurable_from(std::string_view text) {
  if (text == "hold") return messages::OnUnmeasurable::hold;
  if (text == "fail") return messages::OnUnmeasurable::fail;
  if (text == "activate") return messages::OnUnmeasurable::activate;
  return std::nullopt;
}

Result<HostConfig> read_host_config(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, TomlReader::open(file));
  HostConfig config;
  TomlReader::Table root = reader.root();
  config.state = root.path("state", config.state);
  config.socket = root.path("socket", config.socket);
  config.socket_mode = read_mode(root);
  if (root.has("readers_group")) config.readers_group = root.text("readers_group", std::nullopt);
  config.log = root.text("log", config.log);
  if (std::find(log_levels.begin(), log_levels.end(), config.log) == log_levels.end()) {
    root.refuse(
        "log", "'" + config.log + "' is no level; it must be trace, debug, info, warning or error");
  }
  config.trust = read_trust(root.table("trust"));
  config.broker = read_broker(root.table("broker"));
  config.rollout = read_rollout(root.table("rollout"));
  config.monitor = read_monitor(root.table("monitor"));
  config.history = read_history(root.table("history"));
  if (root.has("http")) config.http = read_http(root.table("http"));
  if (root.has("webhooks")) {
    TomlReader::Table webhooks = root.table("webhooks");
    for (const std::string& name : webhooks.table_names()) {
      config.webhooks.push_back(read_webhook(webhooks.table(name), name));
    }
    webhooks.finish("each is a table, [webhooks.NAME]");
  }
  root.finish();
  OUTCROP_CHECK(reader.status());
  return config;
}

}  // namespace outcrop::fleet
