#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <sstream>

#include "agent/doctor/machine.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

// Two releases of a few variants each, and one on its way.
constexpr ByteCount room_for_releases(500'000'000);

fs::path nearest_existing(fs::path folder) {
  std::error_code error;
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  return folder.empty() ? "." : folder;
}

struct Wear {
  std::optional<int> used;    // life_time: 1 is up to 10 % ... 10 is up to 100 %, 11 beyond
  std::optional<int> blocks;  // pre_eol_info: spare blocks 1 normal, 2 80 % used, 3 90 % used
};

std::optional<int> hexadecimal(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  int value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

// JEDEC JESD84-B51, DEVICE_LIFE_TIME_EST_TYP_A and _B, PRE_EOL_INFO; 0: not said.
Wear read_wear(const MachineFiles& files, const fs::path& device) {
  Wear wear;
  std::istringstream words(files.text(device / "life_time").value_or(""));
  int used = 0;
  for (std::string word; words >> word;) {
    const auto value = hexadecimal(word);
    if (!value || *value < 0 || *value > 11) return {};
    used = std::max(used, *value);
  }
  if (used > 0) wear.used = used;
  const auto blocks = hexadecimal(files.text(device / "pre_eol_info").value_or(""));
  if (blocks && *blocks >= 1 && *blocks <= 3) wear.blocks = blocks;
  return wear;
}

std::string describe(const Wear& wear) {
  std::string text;
  if (wear.used) {
    text = *wear.used == 11 ? "beyond its estimated life"
                            : std::to_string((*wear.used - 1) * 10) + " to " +
                                  std::to_string(*wear.used * 10) + " % of its life used";
  }
  if (wear.blocks && *wear.blocks > 1) {
    text += std::string(text.empty() ? "" : ", ") + (*wear.blocks == 2 ? "80" : "90") +
            " % of its spare blocks used";
  }
  return text.empty() ? "spare blocks as they should be" : text;
}

}  // namespace

Finding check_disk(const fs::path& folder, ByteCount reserve) {
  const fs::path place = nearest_existing(folder);
  struct statvfs disk {};
  if (::statvfs(place.c_str(), &disk) != 0) {
    return {"disk", Verdict::unknown, place.string() + ": " + std::strerror(errno),
            "may this user see the folder? run doctor as the agent's user"};
  }
  const ByteCount free(std::uint64_t{disk.f_bavail} * disk.f_frsize);
  const ByteCount total(std::uint64_t{disk.f_blocks} * disk.f_frsize);
  const std::string text = free.human() + " free of " + total.human() + " for " + folder.string();
  if ((disk.f_flag & ST_RDONLY) != 0) {
    return {"disk", Verdict::fail, text + ", mounted read-only",
            "the agent writes there: was it remounted after an error? see dmesg"};
  }
  if (free <= reserve) {
    return {"disk", Verdict::fail, text,
            "make room: no pull may leave less than " + reserve.human() +
                " (reserve_mb in [disk] of agent.toml)"};
  }
  if (free.value() - reserve.value() < room_for_releases.value()) {
    return {"disk", Verdict::warn, text,
            "make room: releases beside the one that serves want " + room_for_releases.human() +
                " and " + reserve.human() + " stay free"};
  }
  return {"disk", Verdict::ok, text, {}};
}

Findings check_wear(const MachineFiles& files) {
  Findings findings;
  for (const fs::path& block : files.matching("sys/block/mmcblk[0-9]*")) {
    const std::string name = block.filename().string();
    if (name.find("boot") != std::string::npos || name.find("rpmb") != std::string::npos) continue;
    const fs::path device = block / "device";
    const bool card = files.text(device / "type") == "SD";
    const std::string what = (card ? "SD card " : "eMMC ") + name;
    const Wear wear = read_wear(files, device);
    Finding finding{"wear", Verdict::ok, what + ": " + describe(wear), {}};
    if (!wear.used && !wear.blocks) {
      finding = {"wear", Verdict::unknown, what + " says nothing of its wear",
                 card ? "few cards do: use one made for endurance, and keep a copy of it"
                      : "a newer kernel may read it"};
    } else if (wear.used == 11 || wear.blocks == 3) {
      finding.verdict = Verdict::fail;
      finding.advice = "replace it before it fails; then enrol this board again";
    } else if (wear.used == 10 || wear.blocks == 2) {
      finding.verdict = Verdict::warn;
      finding.advice = "plan to replace it";
    }
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace outcrop::agent
