#include "trainer_host/cli/fleet_output.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "platform/console/columns.hpp"
#include "platform/console/table.hpp"
#include "platform/console/terminal.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/counted.hpp"
#include "trainer_host/cli/host_notes.hpp"
#include "trainer_host/cli/human.hpp"
#include "trainer_host/cli/quality_note.hpp"

namespace outcrop::cli {
namespace {

std::string enrolment_state(const Json& device, Timestamp now) {
  if (device.at("revoked").is_null()) return seen(device, true, now);
  return "revoked " + age(device.at("revoked").get<std::string>(), now) + ": " +
         text_at(device, "revoked_reason");
}

// "stage 2, int8-qint8"
std::string serving(const Json& status, const ReleaseDetails& releases) {
  const Json& active = status.at("active");
  const std::string manifest = text_at(active, "manifest");
  return manifest.empty() ? "–"
                          : stage_in_words(releases, manifest) + ", " + text_at(active, "variant");
}

std::string percent(std::uint64_t done, std::uint64_t total) {
  return total == 0 ? "" : " " + std::to_string(done * 100 / total) + " %";
}

// "update-2 DOWNLOADING 45 %"
std::string doing(const Json& device) {
  const Json& desired = device.at("desired");
  if (desired.is_null()) return "–";
  std::string state = text_at(desired, "state");
  if (state.empty()) state = device.at("online").get<bool>() ? "waiting" : "waits for the board";
  std::string text = text_at(desired, "rollout") + " " + state;
  const auto progress = device.find("progress");
  if (progress != device.end() && !progress->is_null() && text_at(*progress, "state") == state) {
    const bool trying = state == "PROVING" || state == "MEASURING";
    if (trying) text += " " + text_at(*progress, "variant");
    if (state == "DOWNLOADING") {
      text += percent(progress->value("bytes_done", std::uint64_t{0}),
                      progress->value("bytes_total", std::uint64_t{0}));
    }
  }
  return text;
}

// Reasons are sentences: they stand below the table, where nothing cuts them off.
void add_note(std::string& notes, const std::string& about, const std::string& reason) {
  if (!reason.empty()) notes += about + ": " + reason + "\n";
}

bool several_models(const Json& devices) {
  std::set<std::string> models;
  for (const Json& device : devices) {
    if (device.at("revoked").is_null()) models.insert(text_at(device, "model"));
  }
  return models.size() > 1;
}

// Where nothing goes on until a person does something.
bool has_come_to_nothing(const std::string& state) {
  constexpr std::array<std::string_view, 4> ends{"FAILED", "REJECTED", "ROLLED_BACK",
                                                 "NOT_MEASURABLE"};
  return std::find(ends.begin(), ends.end(), state) != ends.end();
}

}  // namespace

View view_of_standard_output() {
  return {SystemClock().now(), line_width(STDOUT_FILENO)};
}

namespace {

// Of an outcropd from before tags none.
std::string tags_of(const Json& device) {
  std::string text;
  for (const Json& tag : device.value("tags", Json::array())) text += (text.empty() ? "" : ", ") + tag.get<std::string>();
  return text;
}

bool any_tags(const Json& devices) {
  return std::any_of(devices.begin(), devices.end(), [](const Json& device) { return !tags_of(device).empty(); });
}

}  // namespace

Result<Fleet> read_fleet(const HostConnection& host, const std::string& words) {
  OUTCROP_TRY(devices, host.get_all("/v1/devices", "devices", words));
  OUTCROP_TRY(about, host.get("/v1/host"));
  Fleet fleet{std::move(devices), true, {}};
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    fleet.listening = about.at("broker").at("running").get<bool>();
    fleet.restarting = text_at(about.at("broker"), "restarting");
    fleet.notes = host_notes(about);
    return {};
  }));
  return fleet;
}

std::string seen(const Json& device, bool listening, Timestamp now) {
  if (device.at("online").get<bool>()) return "online";
  const std::string last = text_at(device, "last_seen");
  if (last.empty()) return "never seen";
  return (listening ? "offline " : "stale ") + since(last, now);
}

std::string enrolment_table(const Json& devices, const View& view) {
  if (devices.at("devices").empty()) return nobody_enrolled;
  const bool tags = any_tags(devices.at("devices"));
  std::vector<std::string> headings{"board", "model", "class", "enrolled", "state"};
  if (tags) headings.emplace_back("tags");
  Table table(std::move(headings));
  table.less_needed({"enrolled", "class"});
  for (const Json& device : devices.at("devices")) {
    std::vector<std::string> row{text_at(device, "name"), text_at(device, "model"), text_at(device, "device_class"),
                                 age(text_at(device, "enrolled"), view.now), enrolment_state(device, view.now)};
    if (tags) row.push_back(tags_of(device));
    table.add_row(std::move(row));
  }
  return table.to_string(view.width);
}

// " (status 3, telemetry 1)"
std::string by_kind(const Json& device, const char* key) {
  const Json counts = device.value(key, Json::object());
  std::string kinds;
  for (const auto& [kind, count] : counts.items()) {
    if (kind == "stale") continue;  // what the broker kept of a session that is over
    kinds += (kinds.empty() ? " (" : ", ") + kind + " " + std::to_string(count.get<std::uint64_t>());
  }
  return kinds + (kinds.empty() ? "" : ")");
}

// An earlier outcropd counts nothing.
std::string said_too_much(const Json& device) {
  const auto limited = device.find("limited");
  if (limited == device.end() || *limited == 0) return "";
  return "says more than a board may: " + counted(limited->get<std::uint64_t>(), "message was", "messages were") +
         " not taken since outcropd started" + by_kind(device, "limited_by_kind") + "; where that goes on, revoke it";
}

std::string was_refused(const Json& device) {
  const std::string kinds = by_kind(device, "refused_by_kind");
  return kinds.empty() ? "" : "says what is not taken" + kinds + "; outcropd's log has the reasons";
}

std::string device_table(const Fleet& fleet, const ReleaseDetails& releases, const View& view) {
  const Json& devices = fleet.devices.at("devices");
  const bool models = several_models(devices);
  std::vector<std::string> headings{"board", "class", "seen", "serves", "rollout"};
  const bool tags = any_tags(devices);
  if (models) headings.insert(headings.begin() + 1, "model");
  if (tags) headings.emplace_back("tags");
  Table table(std::move(headings));
  table.less_needed({"class"});
  std::string notes;
  for (const Json& device : devices) {
    if (!device.at("revoked").is_null()) continue;
    const std::string name = text_at(device, "name");
    const Json& status = device.at("status");
    std::string when = seen(device, fleet.listening, view.now);
    if (!status.is_null() && status.at("held").get<bool>()) {
      when += ", held";
      add_note(notes, name, "its owner holds updates back (outcrop-agent hold)");
    }
    std::vector<std::string> row{name, text_at(device, "device_class"), std::move(when),
                                 status.is_null() ? "–" : serving(status, releases),
                                 doing(device)};
    if (models) row.insert(row.begin() + 1, text_at(device, "model"));
    if (tags) row.push_back(tags_of(device));
    table.add_row(std::move(row));
    add_note(notes, name, text_at(device, "attention"));
    add_note(notes, name, said_too_much(device));
    add_note(notes, name, was_refused(device));
    if (device.value("unsigned", false)) {
      add_note(notes, name,
               "nobody signs what it is told, and whoever holds the broker can make it up: its agent "
               "is from before protocol 5; install the one of this host's version");
    }
    if (!device.at("desired").is_null()) {
      add_note(notes, name, text_at(device.at("desired"), "reason"));
    }
  }
  if (table.empty()) return nobody_enrolled;
  if (!fleet.restarting.empty()) {
    notes += "outcropd's broker is being started again, " + fleet.restarting + ": boards come back by themselves in a moment\n";
  } else if (!fleet.listening) {
    notes += "outcropd is not connected to its broker: this is what boards said before "
             "(journalctl -u outcropd)\n";
  }
  const std::string quality = quality_notes(fleet.devices);
  return table.to_string(view.width) + (notes.empty() ? "" : "\n" + wrapped(notes, view.width)) +
         (quality.empty() ? "" : "\n" + wrapped(quality, view.width));
}

std::vector<std::string> fleet_problems(const Fleet& fleet, Timestamp now) {
  std::vector<std::string> problems;
  if (!fleet.listening && fleet.restarting.empty()) problems.emplace_back("outcropd is not connected to its broker");
  for (const Json& device : fleet.devices.at("devices")) {
    if (!device.at("revoked").is_null()) continue;
    const std::string name = text_at(device, "name");
    if (!device.at("online").get<bool>() && fleet.listening) {
      const std::string last = text_at(device, "last_seen");
      problems.push_back(name + (last.empty() ? " was never seen"
                                              : " is offline (" + since(last, now) + ")"));
    }
    const Json& desired = device.at("desired");
    const std::string state = desired.is_null() ? "" : text_at(desired, "state");
    if (has_come_to_nothing(state) && !desired.value("cancelled", false)) {
      problems.push_back(name + " is " + state + " in rollout " + text_at(desired, "rollout"));
    }
  }
  return problems;
}

}  // namespace outcrop::cli
