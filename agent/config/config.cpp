#include "agent/config/config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "platform/config/toml_reader.hpp"
#include "protocol/messages/names.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using platform::TomlReader;
using Table = TomlReader::Table;

constexpr std::int64_t most_mib = std::int64_t{1} << 30;

// Who may change what this board obeys.
Status check_owner(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    return fail(Error::from_errno("reading " + file.string()));
  }
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return fail(ErrorCode::untrusted, file.string() +
                                          " belongs to another user; it must belong to root or to "
                                          "the user that runs the agent");
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return fail(ErrorCode::untrusted,
                "everybody may write " + file.string() + "; chmod o-w would be right");
  }
  return {};
}

std::string name(Table& table, const std::string& key) {
  std::string text = table.text(key, {});
  if (!text.empty() && !messages::is_name(text)) {
    table.refuse(key, "'" + text + "' is no name; it must be 1 to 63 of a-z, 0-9 and -");
  }
  return text;
}

// Whether the value is the second of two words; the first is the default.
bool second_of(Table& table, const std::string& key, const std::string& first,
               const std::string& second) {
  const std::string text = table.text(key, first);
  if (text != first && text != second) {
    table.refuse(key,
                 "'" + text + "' is not known; it must be \"" + first + "\" or \"" + second + "\"");
  }
  return text == second;
}

std::string log_level(Table& table) {
  static const std::vector<std::string> levels{"trace", "debug", "info", "warning", "error"};
  std::string text = table.text("log", "info");
  if (std::find(levels.begin(), levels.end(), text) == levels.end()) {
    table.refuse("log",
                 "'" + text + "' is not known; it must be trace, debug, info, warning or error");
  }
  return text;
}

unsigned socket_mode(Table& table) {
  const std::string text = table.text("socket_mode", "0660");
  const bool octal = (text.size() == 3 || (text.size() == 4 && text[0] == '0')) &&
                     text.find_first_not_of("01234567") == std::string::npos;
  const unsigned mode = octal ? static_cast<unsigned>(std::stoul(text, nullptr, 8)) : 0;
  if (mode == 0 || (mode & 0111U) != 0) {
    table.refuse("socket_mode", "'" + text +
                                    "' is no mode of a socket; it must be octal digits in "
                                    "quotes, \"0600\", \"0660\" or \"0666\"");
  }
  return mode;
}

fs::path runner_beside_agent() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return (error ? fs::path("/usr/lib/outcrop") : self.parent_path()) / "outcrop-runner-torch";
}

// The first word is a program, and nobody looks for it in PATH.
std::vector<std::string> launcher(Table& table) {
  std::vector<std::string> words = table.texts("launcher", std::vector<std::string>(), 16);
  if (!words.empty() && !fs::path(words[0]).is_absolute()) {
    table.refuse("launcher", "'" + words[0] +
                                 "' is no absolute path; it must be that of a program, "
                                 "[\"/usr/bin/qemu-aarch64-static\", ...]");
    words.clear();
  }
  return words;
}

std::chrono::seconds seconds(Table& table, const std::string& key, std::chrono::seconds fallback,
                             std::int64_t lowest, std::int64_t highest) {
  return std::chrono::seconds(table.integer(key, fallback.count(), lowest, highest));
}

std::size_t count(Table& table, const std::string& key, std::size_t fallback,
                  std::int64_t highest) {
  return static_cast<std::size_t>(
      table.integer(key, static_cast<std::int64_t>(fallback), 1, highest));
}

ByteCount mebibytes(Table& table, const std::string& key, ByteCount fallback, std::int64_t lowest) {
  const auto otherwise = static_cast<std::int64_t>(fallback.value() >> 20);
  return ByteCount::mib(
      static_cast<std::uint64_t>(table.integer(key, otherwise, lowest, most_mib)));
}

void read_device(Table table, AgentConfig& config) {
  config.model = name(table, "model");
  config.device_class = name(table, "class");
  table.finish();
}

void read_broker(Table table, AgentConfig& config) {
  config.broker_host = table.text("host", "");
  // As addresses of IPv6 are written where a port follows.
  if (config.broker_host.starts_with('[') && config.broker_host.ends_with(']')) {
    config.broker_host = config.broker_host.substr(1, config.broker_host.size() - 2);
  }
  if (table.has("port")) {
    config.broker_port = static_cast<std::uint16_t>(table.integer("port", {}, 1, 65535));
  }
  table.finish();
}

void read_runner(Table table, AgentConfig& config) {
  config.runner_program = table.path("program", config.runner_program);
  config.runner_launcher = launcher(table);
  config.allow_reduced_confinement = second_of(table, "confinement", "full", "reduced");
  config.threads = static_cast<int>(table.integer("threads", config.threads, 1, 256));
  config.memory_limit = mebibytes(table, "memory_limit_mb", config.memory_limit, 16);
  table.finish();
}

void read_measure(Table table, AgentConfig& config) {
  config.measure_calls = count(table, "calls", config.measure_calls, 1'000'000);
  config.measure_time = seconds(table, "seconds", config.measure_time, 1, 3600);
  config.measure_rounds = count(table, "rounds", config.measure_rounds, 100);
  config.measure_attempts = count(table, "attempts", config.measure_attempts, 100);
  config.measure_patience = seconds(table, "patience_seconds", config.measure_patience, 0, 86'400);
  config.measure_again = seconds(table, "again_seconds", config.measure_again, 1, 86'400);
  config.prove_again = seconds(table, "prove_again_seconds", config.prove_again, 1, 2'592'000);
  table.finish();
}

void read_serve(Table table, AgentConfig& config) {
  config.serve_address = table.text("address", config.serve_address);
  if (config.serve_address != "127.0.0.1" && config.serve_address != "::1") {
    table.refuse("address", "'" + config.serve_address + "' is not of this machine; it must be \"127.0.0.1\" or \"::1\"");
  }
  if (table.has("port")) config.serve_port = static_cast<std::uint16_t>(table.integer("port", {}, 1, 65535));
  table.finish();
}

void read_updates(Table table, AgentConfig& config) {
  if (const std::string text = table.text("window", ""); !text.empty()) {
    if (auto window = UpdateWindow::parse(text)) {
      config.update_window = std::move(*window);
    } else {
      table.refuse("window", window.error().message());
    }
  }
  config.most_a_second = ByteCount::kib(static_cast<std::uint64_t>(table.integer("max_kb_a_second", 0, 0, most_mib)));
  config.most_a_day = mebibytes(table, "max_mb_a_day", config.most_a_day, 0);
  config.metered = table.boolean("metered", config.metered);
  config.ask_network_manager = table.boolean("ask_network_manager", config.ask_network_manager);
  table.finish();
}

AgentConfig read_tables(TomlReader& reader) {
  AgentConfig config = default_agent_config();
  Table top = reader.root();
  config.state = top.path("state", config.state);
  config.socket = top.path("socket", config.socket);
  config.socket_mode = socket_mode(top);
  config.log = log_level(top);
  read_device(top.table("device"), config);
  read_broker(top.table("broker"), config);
  read_runner(top.table("runner"), config);
  read_measure(top.table("measure"), config);
  read_serve(top.table("serve"), config);
  read_updates(top.table("updates"), config);
  Table disk = top.table("disk");
  config.disk_reserve = mebibytes(disk, "reserve_mb", config.disk_reserve, 0);
  config.keep_releases = count(disk, "keep_releases", config.keep_releases, 16);
  config.keep_bytes = mebibytes(disk, "keep_mb", config.keep_bytes, 0);
  disk.finish();
  Table owner = top.table("owner");
  config.approve_updates = second_of(owner, "updates", "automatic", "approve");
  config.tell_telemetry = !second_of(owner, "telemetry", "allowed", "off");
  owner.finish();
  top.finish();
  return config;
}

}  // namespace

bool is_emulated(const AgentConfig& config) {
  return !config.runner_launcher.empty();
}

AgentConfig default_agent_config() {
  AgentConfig config;
  config.state = "/var/lib/outcrop-agent";
  config.socket = "/run/outcrop-agent/control.sock";
  config.runner_program = runner_beside_agent();
  return config;
}

Result<AgentConfig> read_config(const fs::path& file) {
  PartialConfig read = read_partial_config(file);
  OUTCROP_CHECK(read.status);
  return std::move(read.config);
}

PartialConfig read_partial_config(const fs::path& file) {
  auto reader = TomlReader::open(file);
  if (!reader) return {default_agent_config(), fail(std::move(reader).error())};
  for (const fs::path& read : reader->files()) {
    if (Status owned = check_owner(read); !owned) return {default_agent_config(), std::move(owned)};
  }
  AgentConfig config = read_tables(*reader);
  return {std::move(config), reader->status()};
}

}  // namespace outcrop::agent
