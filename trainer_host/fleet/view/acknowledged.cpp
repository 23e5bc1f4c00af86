#include "trainer_host/fleet/view/acknowledged.hpp"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

std::string note_of(const ChangeName& change) {
  return "acknowledged/" + change.device_class + "/" + change.variant + "/" + change.releases.before.hex() + "/" +
         change.releases.after.hex();
}

}  // namespace

Result<std::optional<Acknowledged>> acknowledged(Registry& registry, const ChangeName& change) {
  OUTCROP_TRY(text, registry.note(note_of(change)));
  if (!text) return std::optional<Acknowledged>();
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object()) return fail(ErrorCode::invalid_data, "an acknowledgement in the registry is no JSON object");
  OUTCROP_TRY(when, from_rfc3339(json.value("time", "")));
  return std::optional(Acknowledged{json.value("who", ""), when, json.value("note", "")});
}

Status acknowledge(Registry& registry, const ChangeName& change, const Acknowledged& by) {
  return registry.save_note(note_of(change),
                            json_text(nlohmann::json{{"who", by.who}, {"time", to_rfc3339(by.when)}, {"note", by.note}}));
}

Status take_back_acknowledgement(Registry& registry, const ChangeName& change) {
  return registry.remove_note(note_of(change));
}

AcknowledgedOf acknowledged_in(Registry& registry) {
  return [&registry](const Change& change) -> std::optional<Acknowledged> {
    auto found = acknowledged(registry, name_of(change));
    if (found) return std::move(*found);
    spdlog::warn("reading who acknowledged a change: {}", found.error().message());
    return std::nullopt;
  };
}

}  // namespace outcrop::fleet
