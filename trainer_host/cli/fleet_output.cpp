#include "trainer_host/cli/fleet_output.hpp"

#include "platform/console/table.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

constexpr std::size_t longest_cell = 40;

std::string last_seen(const Json& device, Timestamp now) {
  if (device.at("online").get<bool>()) return "online";
  const std::string seen = text_at(device, "last_seen");
  return seen.empty() ? "never" : age(seen, now);
}

std::string enrolment_state(const Json& device, Timestamp now) {
  if (device.at("revoked").is_null()) return last_seen(device, now);
  return "revoked " + age(device.at("revoked").get<std::string>(), now) + ": " +
         text_at(device, "revoked_reason");
}

// "4f2a91c0d3e1 int8-qint8"
std::string serving(const Json& status) {
  const Json& active = status.at("active");
  const std::string manifest = text_at(active, "manifest");
  return manifest.empty() ? "–" : short_digest(manifest) + " " + text_at(active, "variant");
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

}  // namespace

std::string enrolment_table(const Json& devices, Timestamp now) {
  if (devices.at("devices").empty()) {
    return "No board is enrolled yet: outcrop device enroll NAME --class CLASS\n";
  }
  Table table({"board", "model", "class", "enrolled", "state"});
  for (const Json& device : devices.at("devices")) {
    table.add_row({text_at(device, "name"), text_at(device, "model"),
                   text_at(device, "device_class"), age(text_at(device, "enrolled"), now),
                   shortened(enrolment_state(device, now), longest_cell)});
  }
  return table.to_string();
}

std::string device_table(const Json& devices, Timestamp now) {
  Table table({"board", "class", "seen", "serves", "rollout"});
  std::string notes;
  bool any = false;
  for (const Json& device : devices.at("devices")) {
    if (!device.at("revoked").is_null()) continue;
    any = true;
    const std::string name = text_at(device, "name");
    const Json& status = device.at("status");
    std::string seen = last_seen(device, now);
    const bool held = !status.is_null() && status.at("held").get<bool>();
    if (held) {
      seen += ", held";
      add_note(notes, name, "its owner holds updates back (outcrop-agent hold)");
    }
    table.add_row({name, text_at(device, "device_class"), seen,
                   status.is_null() ? "–" : serving(status),
                   shortened(doing(device), longest_cell)});
    if (!device.at("desired").is_null()) {
      add_note(notes, name, text_at(device.at("desired"), "reason"));
    }
  }
  if (!any) return "No board is enrolled: outcrop device enroll NAME --class CLASS\n";
  return table.to_string() + (notes.empty() ? "" : "\n" + notes);
}

}  // namespace outcrop::cli
