#include "agent/collect/collect.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

#include "agent/config/config.hpp"
#include "agent/doctor/doctor.hpp"
#include "agent/fsck/fsck.hpp"
#include "agent/doctor/running.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/base/version.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr ByteCount longest = ByteCount::mib(4);
constexpr std::size_t most_files = 10'000;

using Owners = std::set<uid_t>;

// Root's and the agent's; who else made one here chose what is in it, or what it leads to.
Owners owners_of(const fs::path& state) {
  struct stat info {};
  Owners owners{0, ::geteuid()};
  if (::stat(state.c_str(), &info) == 0) owners.insert(info.st_uid);
  return owners;
}

// Of a file that lies there itself: a link, or another name of a file, may be of the board's key, which the agent may read.
Result<std::string> read_own(const fs::path& file, const Owners& owners) {
  const auto refuse = [&](const std::string& why) { return fail(ErrorCode::refused, file.string() + " " + why + ", and is not read"); };
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd && errno == ELOOP) return refuse("is a link");
  if (!fd) return fail(Error::from_errno("opening " + file.string()));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + file.string()));
  if (!S_ISREG(info.st_mode)) return refuse("is no regular file");
  if (info.st_nlink > 1) return refuse("has another name");
  if (!owners.contains(info.st_uid)) return refuse("belongs to the user " + std::to_string(info.st_uid) + ", neither root nor the agent");
  std::string text(longest.value() + 1, '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading " + file.string()));
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  if (length > longest.value()) return refuse("has more than " + longest.human());
  text.resize(length);
  return text;
}

// The text, or why there is none.
Json text_of(const fs::path& file, const Owners& owners) {
  const auto text = read_own(file, owners);
  return text ? Json(*text) : Json{{"error", text.error().message()}};
}

Json configuration(const fs::path& config, const Owners& owners) {
  Json files = Json::object();
  files[config.string()] = text_of(config, owners);
  std::error_code error;
  for (fs::directory_iterator entry(config.string() + ".d", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with('.') && name.ends_with(".toml")) files[entry->path().string()] = text_of(entry->path(), owners);
  }
  return files;
}

Json told_by_agent(const Result<std::string>& status) {
  if (!status) return {{"error", status.error().message()}};
  const Json json = Json::parse(*status, nullptr, /*allow_exceptions=*/false);
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

Json documents(const fs::path& state, const Owners& owners) {
  Json found = Json::object();
  for (const char* file : {"board.json", "committed.json", "proved.json", "commands.json", "metadata/trusted.json"}) {
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(state / file, ignored))) found[file] = text_of(state / file, owners);
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
  const Owners owners = owners_of(state);
  const Result<std::string> status = ask_status(read.config.socket);
  const Json json{{"type", "outcrop-support"},
                  {"agent", version()},
                  {"time", to_rfc3339(SystemClock().now())},
                  {"configuration", configuration(config, owners)},
                  {"status", told_by_agent(status)},
                  {"doctor", to_json(examine({.config = config, .status = status}))},
                  {"fsck", check_files(state)},
                  {"documents", documents(state, owners)},
                  {"files", files_below(state)},
                  {"machine", machine()}};
  return json_text(json, 1) + "\n";
}

}  // namespace outcrop::agent
