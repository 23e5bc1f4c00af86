#include "trainer_host/cli/rollout_output.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "platform/console/columns.hpp"
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

// A state that a board only passes through.
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

// Where a board waits or works, and is not at an end of its own.
bool is_under_way(const std::string& state) {
  return is_step(state) || state == "offered" || state == "waits for the board";
}

// A reason with other figures is no other reason: boards tell how busy they are.
std::string without_figures(std::string text) {
  std::erase_if(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return text;
}

// Why a board is where it is: by its own word, else what the state itself says.
std::string why(const Json& rollout, const Json& device) {
  std::string reason = text_at(device, "reason");
  if (!reason.empty()) return reason;
  const std::string state = state_of(device);
  if (state == "waits for the board") return "it is offline, and gets the offer when it is back";
  if (state == "offered") return "it has not answered yet";
  if (state != "SOAKING") return "";
  return "it must serve for " + std::to_string(rollout.value("soak_seconds", std::int64_t{0})) +
         " s before it is committed";
}

std::string in_short(double evidence) {
  char text[32];
  std::snprintf(text, sizeof text, evidence < 10 ? "%.1f" : "%.0f", evidence);
  return text;
}

// What the release costs each class beside what served before, and how sure that is.
std::string evidence_table(const Json& rollout, const View& view) {
  if (!rollout.contains("evidence")) return "";  // an outcropd of before has none
  const Json& evidence = rollout.at("evidence");
  Table table({"class", "boards", "p90", "interval", "slower", "failed"});
  table.less_needed({"failed", "interval"});
  bool compared = false;
  bool too_few = false;
  const std::string line = " of " + in_short(evidence.at("line").get<double>());
  for (const Json& seen : evidence.at("classes")) {
    const auto boards = seen.at("boards").get<std::size_t>();
    const auto failures = seen.at("failures").get<std::size_t>();
    compared = compared || boards > 0;
    too_few = too_few || (boards > 0 && seen.at("too_few").get<bool>());
    if (boards == 0 && failures == 0) continue;
    const bool open = !seen.at("interval").is_array() || (seen.at("interval")[0].is_null() && seen.at("interval")[1].is_null());
    table.add_row({text_at(seen, "device_class"), std::to_string(boards),
                   boards > 0 ? in_percent(seen.at("ratio"), "open") : "",
                   open ? "" : in_percent(seen.at("interval")[0], "open") + " to " + in_percent(seen.at("interval")[1], "open"),
                   in_short(seen.at("slower").get<double>()) + line,
                   std::to_string(failures) + " of " + std::to_string(seen.at("ended").get<std::size_t>())});
  }
  if (!compared) return "";
  std::string text = "\n" + wrapped("beside what served before, measured in turns on the same boards:\n", view.width) +
                     table.to_string(view.width);
  if (too_few) text += wrapped("so few boards are no evidence: budgets and proofs decide\n", view.width);
  return text;
}

std::string titled(const Json& device) {
  return text_at(device, "name") + " (" + role_of(device) + ")  ";
}

// What the one who started it should remember.
std::string caveat(const Json& rollout) {
  if (text_at(rollout, "on_unmeasurable") != "activate" || has_ended(rollout)) return "";
  return "boards that cannot measure get a variant UNMEASURED, and where no canary of a class can "
         "measure, all of its boards do (--on-unmeasurable activate)\n";
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
    help += "HELD boards wait for their owner (`outcrop-agent approve`, or `outcrop-agent hold --off`)";
  }
  return help;
}

}  // namespace

std::string rollout_list(const Json& rollouts, const ReleaseDetails& releases, const View& view) {
  if (rollouts.at("rollouts").empty()) {
    return "No rollout yet: outcrop rollout start --release MANIFEST\n";
  }
  Table table({"rollout", "model", "stage", "started", "boards", "state"});
  table.less_needed({"model"});
  std::string notes;
  for (const Json& rollout : rollouts.at("rollouts")) {
    const Json& boards = rollout.at("boards");
    table.add_row({text_at(rollout, "name"), text_at(rollout, "model"),
                   stage_of(releases, text_at(rollout, "manifest")),
                   age(text_at(rollout, "started"), view.now),
                   std::to_string(boards.at("updated").get<std::size_t>()) + " of " + std::to_string(boards.at("all").get<std::size_t>()),
                   text_at(rollout, "state")});
    const std::string reason = text_at(rollout, "reason");
    if (!reason.empty()) notes += text_at(rollout, "name") + ": " + reason + "\n";
  }
  return table.to_string(view.width) + (notes.empty() ? "" : "\n" + wrapped(notes, view.width));
}

namespace {

// An outcropd from before targets says nothing of them.
std::string for_whom(const Json& rollout) {
  const auto target = rollout.find("target");
  if (target == rollout.end()) return "";
  const std::string words = text_at(*target, "words");
  return words == "all boards" ? "" : ", for " + words;
}

// Where it is another than the release's own.
std::string by_what(const Json& rollout) {
  const std::string objective = text_at(rollout, "objective");
  return objective.empty() ? "" : ", each class gets what has least " + objective;
}

}  // namespace

std::string rollout_page(const Json& rollout, const Json& devices, const ReleaseDetails& releases,
                         const View& view) {
  const std::string manifest = text_at(rollout, "manifest");
  std::string title = "Rollout " + text_at(rollout, "name") + " of " + text_at(rollout, "model");
  if (releases.contains(manifest)) title += " " + stage_in_words(releases, manifest);
  title += ", manifest " + short_digest(manifest) + ", started " +
           age(text_at(rollout, "started"), view.now) + for_whom(rollout) + by_what(rollout) + "\n";
  Table table({"board", "group", "state", "at", "for"});
  table.less_needed({"group"});
  std::string notes;
  for (const Json& device : rollout.at("devices")) {
    const std::string reason = why(rollout, device);
    std::string state = state_of(device);
    const bool lasts = is_under_way(state) && !has_ended(rollout);
    const std::string updated = text_at(device, "updated");
    if (device.at("cancelled").get<bool>()) state += " (taken back)";
    table.add_row({text_at(device, "name"), role_of(device), state, detail_of(device, devices),
                   lasts && !updated.empty() ? since(updated, view.now) : ""});
    if (!reason.empty()) notes += text_at(device, "name") + ": " + reason + "\n";
  }
  notes += caveat(rollout);
  std::string text = wrapped(title, view.width) + "\n" + table.to_string(view.width);
  if (!notes.empty()) text += "\n" + wrapped(notes, view.width);
  text += evidence_table(rollout, view);
  std::string end = text_at(rollout, "state");
  const std::string reason = text_at(rollout, "reason");
  if (!reason.empty()) end += ": " + reason;
  const std::string help = what_would_help(rollout);
  if (!help.empty()) end += "\n" + help;
  return text + "\n" + wrapped(end, view.width);
}

bool has_ended(const Json& rollout) {
  const std::string state = text_at(rollout, "state");
  return state == "done" || state == "stopped" || state == "aborted";
}

std::vector<RolloutLine> rollout_lines(const Json& rollout) {
  std::vector<RolloutLine> lines;
  for (const Json& device : rollout.at("devices")) {
    const std::string state = state_of(device);
    const std::string reason = text_at(device, "reason");
    lines.push_back({text_at(device, "name") + " " + state + " " + without_figures(reason),
                     titled(device) + state + (reason.empty() ? "" : ": " + reason)});
  }
  const std::string state = text_at(rollout, "state");
  lines.push_back(
      {"rollout " + state, "rollout " + text_at(rollout, "name") + ": " + phase_of(state)});
  const std::string help = what_would_help(rollout);
  if (!help.empty()) lines.push_back({"help", help});
  return lines;
}

std::vector<std::string> still_at_work(const Json& rollout, const Json& devices, Timestamp now) {
  std::vector<std::string> lines;
  for (const Json& device : rollout.at("devices")) {
    const std::string state = state_of(device);
    if (!is_under_way(state)) continue;
    const std::string detail = detail_of(device, devices);
    const std::string updated = text_at(device, "updated");
    const std::string reason = why(rollout, device);
    lines.push_back(titled(device) + "still " + state + (detail.empty() ? "" : " " + detail) +
                    (updated.empty() ? "" : " after " + since(updated, now)) +
                    (reason.empty() ? "" : ": " + reason));
  }
  return lines;
}

}  // namespace outcrop::cli
