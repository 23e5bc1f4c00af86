#include "trainer_host/cli/rollout_output.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "platform/console/table.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

const Json* progress_of(const Json& devices, const std::string& name) {
  if (devices.is_null()) return nullptr;
  for (const Json& device : devices.at("devices")) {
    if (text_at(device, "name") != name) continue;
    const auto progress = device.find("progress");
    return progress == device.end() || progress->is_null() ? nullptr : &*progress;
  }
  return nullptr;
}

// Where a board of a rollout stands, in one word of SCHEMA.md or one of ours.
std::string state_of(const Json& device) {
  if (device.value("excluded", false)) return "left out";
  const std::string state = text_at(device, "state");
  if (!state.empty()) return state;
  const bool offered = device.at("generation").get<std::uint64_t>() > 0;
  if (!offered) return "–";
  return device.value("online", true) ? "offered" : "waits for the board";
}

// The variant at work, or the share of a transfer.
std::string detail_of(const Json& device, const Json& devices) {
  const std::string state = text_at(device, "state");
  const Json* const progress = progress_of(devices, text_at(device, "name"));
  if (progress == nullptr || text_at(*progress, "state") != state) return "";
  if (state == "DOWNLOADING") {
    const auto done = progress->value("bytes_done", std::uint64_t{0});
    const auto total = progress->value("bytes_total", std::uint64_t{0});
    return total == 0 ? "" : std::to_string(done * 100 / total) + " %";
  }
  const bool trying = state == "PROVING" || state == "MEASURING";
  return trying ? text_at(*progress, "variant") : "";
}

std::string role_of(const Json& device) {
  return device.at("canary").get<bool>() ? "canary" : "rest";
}

// A state that a board only passes through: why it is in it is no news.
bool is_step(const std::string& state) {
  constexpr std::array<std::string_view, 8> steps{"OFFERED",  "DOWNLOADING", "DOWNLOADED",
                                                  "VERIFIED", "PROVING",     "MEASURING",
                                                  "UPDATING", "SOAKING"};
  return std::find(steps.begin(), steps.end(), state) != steps.end();
}

std::string phase_of(const std::string& state) {
  if (state == "canary") return "canary phase";
  if (state == "widening") return "the canaries are good; the rest follows";
  return state;
}

// Where no board goes on by itself, who can do something.
std::string what_would_help(const Json& rollout) {
  if (has_ended(rollout)) return "";
  bool unmeasurable = false;
  bool held = false;
  for (const Json& device : rollout.at("devices")) {
    const std::string state = state_of(device);
    if (state == "NOT_MEASURABLE") {
      unmeasurable = true;
    } else if (state == "HELD") {
      held = true;
    } else if (state != "UPDATED" && state != "left out" && state != "–") {
      return "";
    }
  }
  std::string help;
  if (unmeasurable) {
    help =
        "nothing goes on by itself: boards could not measure, usually since other work kept "
        "them busy; `outcrop rollout resume " +
        text_at(rollout, "name") + "` lets them try again";
  }
  if (held) {
    if (!help.empty()) help += "; ";
    help += "HELD boards wait for their owner (`outcrop-agent approve`, or `hold --release`)";
  }
  return help;
}

}  // namespace

std::string rollout_list(const Json& rollouts, Timestamp now) {
  if (rollouts.at("rollouts").empty()) {
    return "No rollout yet: outcrop rollout start --release MANIFEST\n";
  }
  Table table({"rollout", "model", "manifest", "started", "boards", "state"});
  std::string notes;
  for (const Json& rollout : rollouts.at("rollouts")) {
    std::size_t updated = 0;
    for (const Json& device : rollout.at("devices")) {
      if (text_at(device, "state") == "UPDATED" && !device.at("cancelled").get<bool>()) ++updated;
    }
    table.add_row({text_at(rollout, "name"), text_at(rollout, "model"),
                   short_digest(text_at(rollout, "manifest")),
                   age(text_at(rollout, "started"), now),
                   std::to_string(updated) + " of " + std::to_string(rollout.at("devices").size()),
                   text_at(rollout, "state")});
    const std::string reason = text_at(rollout, "reason");
    if (!reason.empty()) notes += text_at(rollout, "name") + ": " + reason + "\n";
  }
  return table.to_string() + (notes.empty() ? "" : "\n" + notes);
}

std::string rollout_page(const Json& rollout, const Json& devices, Timestamp now) {
  std::string text = "Rollout " + text_at(rollout, "name") + " of " + text_at(rollout, "model") +
                     ", manifest " + short_digest(text_at(rollout, "manifest")) + ", started " +
                     age(text_at(rollout, "started"), now) + "\n\n";
  Table table({"board", "group", "state", "at"});
  std::string notes;
  for (const Json& device : rollout.at("devices")) {
    const std::string reason = text_at(device, "reason");
    std::string state = state_of(device);
    if (device.at("cancelled").get<bool>()) state += " (taken back)";
    table.add_row({text_at(device, "name"), role_of(device), state, detail_of(device, devices)});
    if (!reason.empty()) notes += text_at(device, "name") + ": " + reason + "\n";
  }
  text += table.to_string();
  if (!notes.empty()) text += "\n" + notes;
  text += "\n" + text_at(rollout, "state");
  const std::string reason = text_at(rollout, "reason");
  if (!reason.empty()) text += ": " + reason;
  const std::string help = what_would_help(rollout);
  if (!help.empty()) text += "\n" + help;
  return text + "\n";
}

bool has_ended(const Json& rollout) {
  const std::string state = text_at(rollout, "state");
  return state == "done" || state == "stopped" || state == "aborted";
}

std::vector<RolloutLine> rollout_lines(const Json& rollout) {
  std::vector<RolloutLine> lines;
  for (const Json& device : rollout.at("devices")) {
    const std::string name = text_at(device, "name");
    const std::string state = state_of(device);
    std::string text = name + " (" + role_of(device) + ")  " + state;
    const std::string reason = text_at(device, "reason");
    if (!is_step(state) && !reason.empty()) text += ": " + reason;
    lines.push_back({name + " " + state, std::move(text)});
  }
  const std::string state = text_at(rollout, "state");
  lines.push_back(
      {"rollout " + state, "rollout " + text_at(rollout, "name") + ": " + phase_of(state)});
  const std::string help = what_would_help(rollout);
  if (!help.empty()) lines.push_back({"help", help});
  return lines;
}

}  // namespace outcrop::cli
