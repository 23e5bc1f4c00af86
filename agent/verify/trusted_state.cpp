#include "agent/verify/trusted_state.hpp"

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::agent {
namespace {

using messages::Json;
using messages::ObjectReader;

constexpr std::uint64_t state_format = 1;
constexpr ByteCount state_limit = ByteCount::mib(32);
constexpr const char* document = "trusted.json";
constexpr std::size_t most_roles = 4096;

std::string envelope(ObjectReader& reader, std::string_view key) {
  return reader.lines(key, trust::envelope_limit.value());
}

Json set_to_json(const std::optional<TrustedSet>& set) {
  if (!set) return nullptr;
  Json json{{"timestamp", set->timestamp.envelope()},
            {"snapshot", set->snapshot.envelope()},
            {"targets", set->targets.envelope()},
            {"stage", nullptr}};
  if (!set->stage_envelope.empty()) json["stage"] = set->stage_envelope;
  return json;
}

Result<TrustedSet> read_set(ObjectReader reader, const trust::TrustedRoot& root) {
  const std::string timestamp_text = envelope(reader, "timestamp");
  const std::string snapshot_text = envelope(reader, "snapshot");
  const std::string targets_text = envelope(reader, "targets");
  std::string stage = reader.null("stage") ? std::string() : envelope(reader, "stage");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(timestamp, trust::verify_timestamp(root, timestamp_text));
  OUTCROP_TRY(snapshot, trust::verify_snapshot(root, snapshot_text));
  OUTCROP_TRY(targets, trust::verify_targets(root, targets_text));
  OUTCROP_CHECK(trust::check_snapshot(timestamp, snapshot));
  return TrustedSet{std::move(timestamp), std::move(snapshot), std::move(targets),
                    std::move(stage)};
}

Result<TrustedRevoked> read_revoked(ObjectReader reader) {
  const std::string list_text = envelope(reader, "envelope");
  const std::string root_text = envelope(reader, "root");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(root, trust::TrustedRoot::pin(root_text));
  OUTCROP_TRY(list, trust::verify_revoked(root, list_text));
  return TrustedRevoked{std::move(list), std::move(root)};
}

trust::VersionFloors read_floors(ObjectReader reader) {
  std::map<std::string, std::uint64_t> versions;
  for (const std::string& role : reader.keys(most_roles)) versions[role] = reader.integer(role, 1);
  reader.done();
  return trust::VersionFloors(std::move(versions));
}

Result<TrustedState> read_state(std::string_view text) {
  OUTCROP_TRY(json, messages::parse_object(text, state_limit, document));
  ObjectReader reader(json, document);
  if (reader.integer("format", 1) > state_format) {
    return fail(ErrorCode::unsupported,
                "was written by a newer agent; install that agent again, or remove the file and "
                "its spare: this board then trusts the root of its enrolment and follows from "
                "there");
  }
  const std::string root_text = envelope(reader, "root");
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(root, trust::TrustedRoot::pin(root_text));
  TrustedState state{reader.digest("pinned"), reader.name("model"), std::move(root), {}, {}, {}, {},
                     reader.time("received")};
  if (!reader.null("revoked")) {
    OUTCROP_TRY(revoked, read_revoked(reader.object("revoked")));
    state.revoked = std::move(revoked);
  }
  if (!reader.null("set")) {
    OUTCROP_TRY(set, read_set(reader.object("set"), state.root));
    state.set = std::move(set);
  }
  state.floors = read_floors(reader.object("versions"));
  if (!reader.null("time_floor")) state.time_floor = reader.time("time_floor");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return state;
}

}  // namespace

Status write_trusted_state(const std::filesystem::path& file, const TrustedState& state) {
  Json json{{"format", state_format},
            {"pinned", state.pinned.hex()},
            {"model", state.model},
            {"root", state.root.envelope()},
            {"revoked", nullptr},
            {"set", set_to_json(state.set)},
            {"versions", Json::object()},
            {"time_floor", nullptr},
            {"received", to_rfc3339(state.received)}};
  if (state.revoked) {
    json["revoked"] = {{"envelope", state.revoked->list.envelope()},
                       {"root", state.revoked->root.envelope()}};
  }
  for (const auto& [role, version] : state.floors.versions()) json["versions"][role] = version;
  if (state.time_floor) json["time_floor"] = to_rfc3339(*state.time_floor);
  return KeptTwice(file).write(json_text(json, 1) + "\n");
}

Result<ReadTrustedState> read_trusted_state(const std::filesystem::path& file) {
  ReadTrustedState read;
  const auto take = [&](const std::filesystem::path& copy) -> Status {
    OUTCROP_TRY(text, read_text_file(copy, state_limit));
    auto state = read_state(text);
    if (!state) return fail(state.error().context(copy.string()));
    read.state = std::move(*state);
    return {};
  };
  OUTCROP_TRY(reading, KeptTwice(file).read(take));
  read.reading = std::move(reading);
  return read;
}

}  // namespace outcrop::agent
