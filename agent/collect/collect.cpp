#include "agent/collect/collect.hpp"

#include <algorithm>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/config/config.hpp"
#include "agent/doctor/doctor.hpp"
#include "agent/fsck/fsck.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr ByteCount longest = ByteCount::mib(4);
constexpr std::size_t most_files = 10'000;

// The text, or why there is none.
Json text_of(const fs::path& file) {
  const auto text = read_text_file(file, longest);
  return text ? Json(*text) : Json{{"error", text.error().message()}};
}

Json configuration(const fs::path& config) {
  Json files = Json::object();
  files[config.string()] = text_of(config);
  std::error_code error;
  for (fs::directory_iterator entry(config.string() + ".d", error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".toml") files[entry->path().string()] = text_of(entry->path());
  }
  return files;
}

Json told_by_agent(const fs::path& socket) {
  const auto answer = http::call_ok(socket, {.target = "/v1/status", .deadline = std::chrono::seconds(5)});
  if (!answer) return {{"error", answer.error().message()}};
  const Json json = Json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json{{"error", "the answer is no JSON"}} : json;
}

Json files_below(const fs::path& folder) {
  Json files = Json::object();
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end && files.size() < most_files;
       entry.increment(error)) {
    std::error_code unknown;
    if (!entry->is_regular_file(unknown)) continue;
    const auto size = entry->file_size(unknown);
    files[entry->path().lexically_relative(folder).string()] = unknown ? Json(nullptr) : Json(size);
  }
  if (error) files["error"] = error.message();
  return files;
}

Json documents(const fs::path& state) {
  Json found = Json::object();
  for (const char* file : {"board.json", "committed.json", "proved.json", "commands.json", "metadata/trusted.json"}) {
    std::error_code ignored;
    if (fs::exists(state / file, ignored)) found[file] = text_of(state / file);
  }
  return found;
}

Json machine() {
  const runtime::MachineFiles files;
  Json found = Json::object();
  for (const char* file : {"etc/os-release", "proc/version", "proc/meminfo", "proc/loadavg", "proc/uptime",
                           "proc/pressure/memory", "proc/pressure/io"}) {
    found[file] = files.text(file).value_or("");
  }
  return found;
}

}  // namespace

std::string collect(const fs::path& config) {
  const PartialConfig read = read_partial_config(config);
  const fs::path& state = read.config.state;
  const Json json{{"type", "outcrop-support"},
                  {"agent", version()},
                  {"time", to_rfc3339(SystemClock().now())},
                  {"configuration", configuration(config)},
                  {"status", told_by_agent(read.config.socket)},
                  {"doctor", to_json(examine({.config = config}))},
                  {"fsck", check_files(state)},
                  {"documents", documents(state)},
                  {"files", files_below(state)},
                  {"machine", machine()}};
  return json_text(json, 1) + "\n";
}

}  // namespace outcrop::agent
