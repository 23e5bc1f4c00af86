#include "agent/slots/installed_json.hpp"

#include <algorithm>

namespace outcrop::agent {

messages::Json to_json(const std::optional<Installed>& installed) {
  if (!installed) return nullptr;
  return {{"manifest", installed->manifest.hex()},
          {"size", installed->manifest_size.value()},
          {"variant", installed->variant}};
}

std::optional<Installed> read_installed(messages::ObjectReader& reader, std::string_view key) {
  if (reader.null(key)) return std::nullopt;
  messages::ObjectReader object = reader.object(key);
  Installed installed;
  installed.manifest = object.digest("manifest");
  installed.manifest_size = object.size("size");
  installed.variant = object.name("variant");
  object.done();
  return installed;
}

messages::Json to_json(const SlotTable& table) {
  messages::Json kept = messages::Json::array();
  for (const KeptRelease& one : table.kept) {
    kept.push_back(
        {{"release", to_json(std::optional(one.release))}, {"until", to_rfc3339(one.until)}, {"good", one.good}});
  }
  return {{"active", to_json(table.active)},
          {"previous", to_json(table.previous)},
          {"kept", std::move(kept)},
          {"forgotten", table.forgotten}};
}

std::vector<KeptRelease> read_kept(messages::ObjectReader& reader, std::string_view key, bool says_good) {
  const Timestamp latest = SystemClock().now() + kept_for;
  std::vector<KeptRelease> kept;
  reader.objects(key, 0, most_kept, [&](messages::ObjectReader& entry) {
    const auto release = read_installed(entry, "release");
    const Timestamp until = entry.time("until");
    const bool good = says_good && entry.boolean("good");
    entry.done();
    if (release) kept.push_back({*release, std::min(until, latest), good});
  });
  return kept;
}

SlotTable read_slot_table(messages::ObjectReader reader) {
  SlotTable table;
  table.active = read_installed(reader, "active");
  table.previous = read_installed(reader, "previous");
  table.kept = read_kept(reader, "kept", true);
  table.forgotten = reader.boolean("forgotten");
  reader.done();
  return table;
}

}  // namespace outcrop::agent
