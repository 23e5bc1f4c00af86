#include "protocol/trust/role_codec.hpp"

#include <algorithm>
#include <set>

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::trust {
namespace {

using messages::Json;
using messages::ObjectReader;

constexpr std::size_t most_keys = 256;
constexpr std::size_t most_entries = 4096;
constexpr ByteCount role_limit = ByteCount::mib(1);

template <class Role>
Json header_to_json(const Role& role) {
  return {{"type", Role::kind},
          {"protocol", first_protocol},
          {"version", role.version},
          {"expires", to_rfc3339(role.expires)}};
}

Json keys_to_json(const Keys& keys) {
  Json json = Json::object();
  for (const auto& [id, key] : keys) {
    json[id.hex()] = {{"keytype", "ed25519"}, {"public", key.hex()}};
  }
  return json;
}

void add_role_keys(Json& json, const RoleKeys& keys) {
  json["keyids"] = Json::array();
  for (const KeyId& id : keys.keyids) json["keyids"].push_back(id.hex());
  json["threshold"] = keys.threshold;
}

Json revocations_to_json(const std::vector<Revocation>& list, const char* key) {
  Json json = Json::array();
  for (const Revocation& entry : list) {
    json.push_back(
        {{key, entry.what.hex()}, {"reason", entry.reason}, {"time", to_rfc3339(entry.time)}});
  }
  return json;
}

Keys read_keys(ObjectReader reader) {
  Keys keys;
  for (const std::string& id : reader.keys(most_keys)) {
    ObjectReader element = reader.object(id);
    element.constant("keytype", "ed25519");
    const auto key = PublicKey::from_hex(element.text("public"));
    element.done();
    if (!key) {
      element.refuse("public", key.error().message());
      break;
    }
    if (key->id().hex() != id) {
      element.refuse("public", "is not the key of that id, which is the SHA-256 of the key");
      break;
    }
    keys.emplace(key->id(), *key);
  }
  return keys;
}

// Does not call done(): a delegation has more fields.
RoleKeys read_role_keys(ObjectReader& reader, const Keys& keys) {
  RoleKeys role;
  std::set<KeyId> seen;
  for (const std::string& text : reader.texts("keyids", most_keys)) {
    const auto id = KeyId::from_hex(text);
    if (!id || !keys.contains(*id)) {
      reader.refuse("keyids", "'" + text + "' is not among the document's keys");
      return role;
    }
    if (!seen.insert(*id).second) {
      reader.refuse("keyids", "'" + text + "' stands twice");
      return role;
    }
    role.keyids.push_back(*id);
  }
  role.threshold = reader.integer("threshold", 1, most_keys);
  if (reader.ok() && role.threshold > role.keyids.size()) {
    reader.refuse("threshold", "is above the number of keys");
  }
  return role;
}

std::vector<Revocation> read_revocations(ObjectReader& reader, std::string_view list,
                                         std::string_view key) {
  std::vector<Revocation> entries;
  reader.objects(list, 0, most_entries, [&](ObjectReader& element) {
    Revocation entry;
    entry.what = element.digest(key);
    entry.reason = element.text("reason", 1024);
    entry.time = element.time("time");
    element.done();
    entries.push_back(std::move(entry));
  });
  return entries;
}

void read_fields(ObjectReader& reader, RootMetadata& root) {
  root.keys = read_keys(reader.object("keys"));
  ObjectReader roles = reader.object("roles");
  for (const std::string& role : top_level_roles()) {
    ObjectReader element = roles.object(role);
    root.roles[role] = read_role_keys(element, root.keys);
    element.done();
  }
  if (roles.has(director_role)) {
    ObjectReader element = roles.object(director_role);
    root.roles[std::string(director_role)] = read_role_keys(element, root.keys);
    element.done();
  }
  roles.done();
}

void read_fields(ObjectReader& reader, TargetsMetadata& targets) {
  targets.keys = read_keys(reader.object("keys"));
  reader.objects("delegations", 0, most_entries, [&](ObjectReader& element) {
    Delegation delegation;
    delegation.model = element.name("model");
    delegation.keys = read_role_keys(element, targets.keys);
    element.done();
    if (element.ok() && targets.delegation(delegation.model) != nullptr) {
      element.refuse("model", "'" + delegation.model + "' is delegated twice");
    }
    targets.delegations.push_back(std::move(delegation));
  });
}

void read_fields(ObjectReader& reader, RevokedMetadata& revoked) {
  revoked.manifests = read_revocations(reader, "manifests", "sha256");
  revoked.keys = read_revocations(reader, "keys", "keyid");
}

void read_fields(ObjectReader& reader, StageMetadata& stage) {
  stage.model = reader.name("model");
  std::set<Sha256Digest> seen;
  reader.objects("releases", 0, most_entries, [&](ObjectReader& element) {
    PermittedRelease release;
    ObjectReader manifest = element.object("manifest");
    release.manifest = manifest.digest("sha256");
    release.size = manifest.size("size");
    manifest.done();
    release.stage = element.integer("stage", 1);
    release.epoch = element.integer("epoch", 1);
    element.done();
    if (element.ok() && !seen.insert(release.manifest).second) {
      element.refuse("manifest", "stands twice");
    }
    stage.releases.push_back(release);
  });
}

void read_fields(ObjectReader& reader, SnapshotMetadata& snapshot) {
  ObjectReader versions = reader.object("versions");
  for (const std::string& role : versions.keys(most_entries)) {
    if (role != TargetsMetadata::kind && role != RevokedMetadata::kind &&
        !role.starts_with("stage-")) {
      versions.refuse(role, "is not a role that a snapshot lists");
    }
    snapshot.versions[role] = versions.integer(role, 1);
  }
}

void read_fields(ObjectReader& reader, TimestampMetadata& timestamp) {
  timestamp.issued = reader.time("issued");
  if (reader.ok() && timestamp.issued >= timestamp.expires) {
    reader.refuse("issued", "must be before the time of expiry");
  }
  ObjectReader snapshot = reader.object("snapshot");
  timestamp.snapshot_version = snapshot.integer("version", 1);
  timestamp.snapshot = snapshot.digest("sha256");
  timestamp.snapshot_size = snapshot.size("size");
  snapshot.done();
}

}  // namespace

const std::vector<std::string>& top_level_roles() {
  static const std::vector<std::string> roles{"root", "targets", "revoked", "snapshot",
                                              "timestamp"};
  return roles;
}

bool names_director(const RootMetadata& root) {
  return root.roles.contains(director_role);
}

std::string stage_role(std::string_view model) {
  return "stage-" + std::string(model);
}

const Delegation* TargetsMetadata::delegation(std::string_view model) const {
  const auto found =
      std::find_if(delegations.begin(), delegations.end(),
                   [&](const Delegation& delegation) { return delegation.model == model; });
  return found == delegations.end() ? nullptr : &*found;
}

const PermittedRelease* StageMetadata::release(const Sha256Digest& manifest) const {
  const auto found =
      std::find_if(releases.begin(), releases.end(),
                   [&](const PermittedRelease& entry) { return entry.manifest == manifest; });
  return found == releases.end() ? nullptr : &*found;
}

std::string to_json(const RootMetadata& root) {
  Json json = header_to_json(root);
  if (names_director(root)) json["protocol"] = signed_since;
  json["keys"] = keys_to_json(root.keys);
  json["roles"] = Json::object();
  for (const auto& [role, keys] : root.roles) add_role_keys(json["roles"][role], keys);
  return json_text(json, 1);
}

std::string to_json(const TargetsMetadata& targets) {
  Json json = header_to_json(targets);
  json["keys"] = keys_to_json(targets.keys);
  json["delegations"] = Json::array();
  for (const Delegation& delegation : targets.delegations) {
    Json element{{"model", delegation.model}};
    add_role_keys(element, delegation.keys);
    json["delegations"].push_back(element);
  }
  return json_text(json, 1);
}

std::string to_json(const RevokedMetadata& revoked) {
  Json json = header_to_json(revoked);
  json["manifests"] = revocations_to_json(revoked.manifests, "sha256");
  json["keys"] = revocations_to_json(revoked.keys, "keyid");
  return json_text(json, 1);
}

std::string to_json(const StageMetadata& stage) {
  Json json = header_to_json(stage);
  json["model"] = stage.model;
  json["releases"] = Json::array();
  for (const PermittedRelease& release : stage.releases) {
    json["releases"].push_back(
        {{"manifest", {{"sha256", release.manifest.hex()}, {"size", release.size.value()}}},
         {"stage", release.stage},
         {"epoch", release.epoch}});
  }
  return json_text(json, 1);
}

std::string to_json(const SnapshotMetadata& snapshot) {
  Json json = header_to_json(snapshot);
  json["versions"] = Json::object();
  for (const auto& [role, version] : snapshot.versions) json["versions"][role] = version;
  return json_text(json, 1);
}

std::string to_json(const TimestampMetadata& timestamp) {
  Json json = header_to_json(timestamp);
  json["issued"] = to_rfc3339(timestamp.issued);
  json["snapshot"] = {{"version", timestamp.snapshot_version},
                      {"sha256", timestamp.snapshot.hex()},
                      {"size", timestamp.snapshot_size.value()}};
  return json_text(json, 1);
}

template <class Role>
Result<Role> parse_role(BytesView bytes) {
  const std::string what(Role::kind);
  OUTCROP_TRY(json, messages::parse_object(as_text(bytes), role_limit, what));
  OUTCROP_CHECK(messages::check_type(json, Role::kind, "protocol"));
  ObjectReader reader(json, what);
  Role role;
  reader.constant("type", Role::kind);
  (void)reader.integer("protocol", 1);
  role.version = reader.integer("version", 1);
  role.expires = reader.time("expires");
  read_fields(reader, role);
  reader.done();
  OUTCROP_CHECK(reader.status());
  return role;
}

template Result<RootMetadata> parse_role(BytesView);
template Result<TargetsMetadata> parse_role(BytesView);
template Result<RevokedMetadata> parse_role(BytesView);
template Result<StageMetadata> parse_role(BytesView);
template Result<SnapshotMetadata> parse_role(BytesView);
template Result<TimestampMetadata> parse_role(BytesView);

}  // namespace outcrop::trust
