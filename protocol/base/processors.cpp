#include "protocol/base/processors.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/number.hpp"

namespace outcrop {
namespace fs = std::filesystem;
namespace {

unsigned processors_of_affinity() {
  // A machine may have more than the 1024 that cpu_set_t holds: the kernel refuses too few.
  for (std::size_t sets = 1; sets <= 64; sets *= 2) {
    std::vector<cpu_set_t> mask(sets);
    if (::sched_getaffinity(0, sets * sizeof(cpu_set_t), mask.data()) == 0) {
      return static_cast<unsigned>(CPU_COUNT_S(sets * sizeof(cpu_set_t), mask.data()));
    }
  }
  return std::thread::hardware_concurrency();
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<std::string> words_of_file(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return words_of(line);
}

bool has_word(const std::string& list, const std::string& word) {
  std::istringstream stream(list);
  for (std::string one; std::getline(stream, one, ',');) {
    if (one == word) return true;
  }
  return false;
}

// A group's own limit in processors; nothing where it has none ("max", or -1 in version 1).
std::optional<double> quota_of(const fs::path& group, bool version_2) {
  std::vector<std::string> words;
  if (version_2) {
    words = words_of_file(group / "cpu.max");
  } else {
    for (const char* name : {"cpu.cfs_quota_us", "cpu.cfs_period_us"}) {
      for (std::string& word : words_of_file(group / name)) words.push_back(std::move(word));
    }
  }
  if (words.size() != 2) return std::nullopt;
  const auto quota = read_number<std::uint64_t>(words[0]);  // in microseconds, as the period
  const auto period = read_number<std::uint64_t>(words[1]);
  if (!quota || !period || *period == 0) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

// Where the hierarchy that limits processors is mounted: proc/PID/mountinfo, see proc(5).
struct Hierarchy {
  fs::path mount;
  fs::path root;  // the group that stands at `mount`
  bool version_2 = false;
};

std::vector<Hierarchy> hierarchies(const fs::path& root) {
  std::vector<Hierarchy> found;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const auto words = words_of(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const std::string& type = *(dash + 1);
    const bool version_2 = type == "cgroup2";
    if (!version_2 && !(type == "cgroup" && has_word(*(dash + 3), "cpu"))) continue;
    found.push_back({root / fs::path(words[4]).relative_path(), words[3], version_2});
  }
  return found;
}

// This process's group in such a hierarchy: proc/PID/cgroup, see cgroups(7).
std::optional<fs::path> group_in(const fs::path& root, bool version_2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version_2 ? controllers.empty() : has_word(controllers, "cpu")) {
      return line.substr(second + 1);
    }
  }
  return std::nullopt;
}

std::optional<double> least_quota(const fs::path& root) {
  std::optional<double> least;
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    const auto group = group_in(root, hierarchy.version_2);
    if (!group) continue;
    // A container may see its own group as the mount's root, or a path that leads out of it.
    fs::path inside = group->lexically_relative(hierarchy.root);
    if (inside.empty() || *inside.begin() == "..") inside = ".";
    for (fs::path at = inside;; at = at.parent_path()) {
      if (const auto quota = quota_of(hierarchy.mount / at, hierarchy.version_2)) {
        least = std::min(least.value_or(*quota), *quota);
      }
      if (at.empty() || at == ".") break;
    }
  }
  return least;
}

}  // namespace

unsigned available_processors(const fs::path& root) {
  unsigned count = std::max(1U, processors_of_affinity());
  if (const auto quota = least_quota(root)) {
    count = std::min(count, static_cast<unsigned>(std::max(1.0, std::ceil(*quota))));
  }
  return count;
}

}  // namespace outcrop
