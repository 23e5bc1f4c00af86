#include "trainer_host/fleet/broker/broker_group.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <optional>
#include <string>

#include "protocol/base/unique_fd.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;

Result<BrokerGroup> none(const std::string& why) {
  return fail(ErrorCode::unsupported, why);
}

// What it is asked for is done by the kernel, and its answer is that of write(2).
Status tell(const fs::path& file, const std::string& text) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + file.string()));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail(Error::from_errno("writing '" + text + "' to " + file.string()));
  }
  return {};
}

// "0::/system.slice/outcropd.service"; nothing where there is no version 2.
std::optional<std::string> own_path(const fs::path& file) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return std::nullopt;
}

bool has_word(const fs::path& file, const std::string& wanted) {
  std::ifstream words(file);
  for (std::string word; words >> word;) {
    if (word == wanted) return true;
  }
  return false;
}

bool holds_others(const fs::path& group) {
  std::ifstream processes(group / "cgroup.procs");
  for (pid_t id = 0; processes >> id;) {
    if (id != ::getpid()) return true;
  }
  return false;
}

Status make_group(const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  return {};
}

Status divide(const fs::path& unit, ByteCount most_memory) {
  const fs::path host = unit / "host", broker = unit / "broker";
  OUTCROP_CHECK(make_group(host));
  OUTCROP_CHECK(make_group(broker));
  OUTCROP_CHECK(tell(host / "cgroup.procs", std::to_string(::getpid())));
  OUTCROP_CHECK(tell(unit / "cgroup.subtree_control", "+memory"));
  return tell(broker / "memory.max", std::to_string(most_memory.value()));
}

void undo(const fs::path& unit) {
  (void)tell(unit / "cgroup.procs", std::to_string(::getpid()));
  std::error_code ignored;
  for (const char* name : {"host", "broker"}) fs::remove(unit / name, ignored);
}

}  // namespace

Result<BrokerGroup> BrokerGroup::make(ByteCount most_memory, const GroupPlaces& places) {
  const auto path = own_path(places.own);
  if (!path) return none("control groups are not those of version 2 here (" + places.own.string() + ")");
  if (path->empty()) return none("outcropd runs in the uppermost control group, and not in a unit of its own");
  fs::path unit = places.mounted / *path;
  // Started again within it.
  if (unit.filename() == "host" && fs::exists(unit.parent_path() / "broker")) unit = unit.parent_path();
  if (!has_word(unit / "cgroup.controllers", "memory")) {
    return none(unit.string() + " has no controller of memory (Delegate=memory in the unit)");
  }
  if (::access((unit / "cgroup.subtree_control").c_str(), W_OK) != 0) {
    return none(unit.string() + " may not be divided by this user (Delegate=memory and ProtectControlGroups=no in the unit)");
  }
  if (holds_others(unit)) return none("others work in the control group " + unit.string() + " as well");
  if (const Status divided = divide(unit, most_memory); !divided) {
    undo(unit);
    return none(divided.error().message());
  }
  return BrokerGroup(unit / "broker");
}

Status BrokerGroup::take(pid_t broker) const {
  return tell(folder_ / "cgroup.procs", std::to_string(broker));
}

// "oom_kill 2", a line of several.
std::uint64_t BrokerGroup::killed() const {
  std::ifstream events(folder_ / "memory.events");
  std::uint64_t count = 0;
  for (std::string word; events >> word >> count;) {
    if (word == "oom_kill") return count;
  }
  return 0;
}

}  // namespace outcrop::fleet
