#include "protocol/messages/device_message.hpp"

#include <algorithm>
#include <array>

#include "protocol/base/cut_short.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/names.hpp"

namespace outcrop::messages {
namespace {

constexpr std::array<std::string_view, 14> states{
    "OFFERED",  "REJECTED", "HELD",      "DOWNLOADING",    "DOWNLOADED",
    "VERIFIED", "PROVING",  "MEASURING", "NOT_MEASURABLE", "UPDATING",
    "SOAKING",  "UPDATED",  "FAILED",    "ROLLED_BACK"};
constexpr std::array<std::string_view, 3> unmeasurable{"hold", "fail", "activate"};
constexpr std::size_t reason_length = 1000;
constexpr std::uint64_t longest_soak = 366ULL * 24 * 3600;

std::vector<std::string> read_variant_names(ObjectReader& reader) {
  auto variants = reader.texts("variants", 16, 63);
  if (!std::all_of(variants.begin(), variants.end(), is_name)) {
    reader.refuse("variants", "must hold names: 1 to 63 of a-z, 0-9 and -");
  }
  return variants;
}

}  // namespace

std::string_view to_string(DeploymentState state) {
  return states[static_cast<std::size_t>(state)];
}

std::string as_reason(std::string_view text) {
  std::string reason = cut_short(text, reason_length);
  for (char& c : reason) {
    if (c == '\n' || c == '\t') c = ' ';
    if (c < ' ' || c > '~') c = '?';
  }
  return reason;
}

DeploymentState read_state(ObjectReader& reader) {
  const std::string text = reader.text("state");
  const auto found = std::find(states.begin(), states.end(), text);
  if (found == states.end()) {
    reader.refuse("state", "'" + text + "' is no state of a deployment");
    return DeploymentState::failed;
  }
  return static_cast<DeploymentState>(found - states.begin());
}

Json header_to_json(const DeviceHeader& header, std::string_view type) {
  return {{"type", type},
          {"protocol", header.protocol},
          {"device", header.device},
          {"session", header.session},
          {"sequence", header.sequence},
          {"time", to_rfc3339(header.time)},
          {"clock", header.clock_synchronised ? "synchronised" : "floor"}};
}

int read_protocol(ObjectReader& reader) {
  return static_cast<int>(reader.integer("protocol", 1, protocol_version));
}

DeviceHeader read_header(ObjectReader& reader, std::string_view type) {
  reader.constant("type", type);
  DeviceHeader header;
  header.protocol = read_protocol(reader);
  header.device = reader.name("device");
  header.session = reader.integer("session", 1);
  header.sequence = reader.integer("sequence", 1);
  header.time = reader.time("time");
  header.clock_synchronised = reader.choice("clock", {"synchronised", "floor"}) == 0;
  return header;
}

void add_deployment(Json& json, const DeploymentId& deployment) {
  json["rollout"] = deployment.rollout;
  json["generation"] = deployment.generation;
  json["manifest"] = deployment.manifest.hex();
}

DeploymentId read_deployment(ObjectReader& reader) {
  DeploymentId deployment;
  deployment.rollout = reader.name("rollout");
  deployment.generation = reader.integer("generation", 1);
  deployment.manifest = reader.digest("manifest");
  return deployment;
}

std::string to_json(const Offer& offer) {
  const Json json{
      {"type", "offer"},
      {"protocol", offer.protocol},
      {"rollout", offer.rollout},
      {"generation", offer.generation},
      {"model", offer.model},
      {"device_class", offer.device_class},
      {"manifest", {{"sha256", offer.manifest.hex()}, {"size", offer.manifest_size.value()}}},
      {"snapshot_version", offer.snapshot_version},
      {"variants", offer.variants},
      {"on_unmeasurable", unmeasurable[static_cast<std::size_t>(offer.on_unmeasurable)]},
      {"soak_seconds", offer.soak.count()},
      {"byte_budget", offer.byte_budget.value()}};
  return json_text(json);
}

Result<Offer> parse_offer(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, offer_limit, "offer"));
  OUTCROP_CHECK(check_type(json, "offer", "protocol"));
  ObjectReader reader(json, "offer");
  Offer offer;
  reader.constant("type", "offer");
  offer.protocol = read_protocol(reader);
  offer.rollout = reader.name("rollout");
  offer.generation = reader.integer("generation", 1);
  offer.model = reader.name("model");
  offer.device_class = reader.name("device_class");
  ObjectReader manifest = reader.object("manifest");
  offer.manifest = manifest.digest("sha256");
  offer.manifest_size = manifest.size("size");
  manifest.done();
  offer.snapshot_version = reader.integer("snapshot_version", 1);
  offer.variants = read_variant_names(reader);
  offer.on_unmeasurable =
      static_cast<OnUnmeasurable>(reader.choice("on_unmeasurable", {"hold", "fail", "activate"}));
  offer.soak = std::chrono::seconds(reader.integer("soak_seconds", 0, longest_soak));
  offer.byte_budget = reader.size("byte_budget");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return offer;
}

std::string to_json(const Progress& progress) {
  Json json = header_to_json(progress.header, "progress");
  add_deployment(json, progress.deployment);
  json["state"] = to_string(progress.state);
  json["reason"] = progress.reason;
  json["variant"] = progress.variant;
  json["bytes_done"] = progress.bytes_done.value();
  json["bytes_total"] = progress.bytes_total.value();
  return json_text(json);
}

Result<Progress> parse_progress(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, progress_limit, "progress"));
  OUTCROP_CHECK(check_type(json, "progress", "protocol"));
  ObjectReader reader(json, "progress");
  Progress progress;
  progress.header = read_header(reader, "progress");
  progress.deployment = read_deployment(reader);
  progress.state = read_state(reader);
  progress.reason = reader.text("reason", longest_reason);
  progress.variant = reader.name_or_empty("variant");
  progress.bytes_done = reader.size("bytes_done");
  progress.bytes_total = reader.size("bytes_total");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return progress;
}

}  // namespace outcrop::messages
