#include "trainer_host/release/rotate.hpp"

#include <algorithm>
#include <map>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/offline_key.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using trust::PrivateKey;

fs::path role_key_file(const KeyStorePaths& paths, const std::string& role) {
  const bool offline = role == "root" || role == "targets";
  return offline ? paths.offline_key(role) : paths.online_key(role);
}

fs::path new_key_file(const KeyStorePaths& paths, const std::string& role) {
  fs::path file = role_key_file(paths, role);
  file += ".new";
  return file;
}

bool holds(const trust::RootMetadata& root, const std::string& role, const PrivateKey& key) {
  const auto found = root.roles.find(role);
  if (found == root.roles.end()) return false;
  const auto& ids = found->second.keyids;
  return std::find(ids.begin(), ids.end(), key.public_key().id()) != ids.end();
}

// A key that waits beside the old one takes its place where the root names it; else it comes from a
// rotation that was cut off before it counted.
Status settle(const KeyStorePaths& paths, const trust::RootMetadata& root) {
  for (const std::string& role : rotatable_roles()) {
    const fs::path waiting = new_key_file(paths, role);
    std::error_code error;
    if (!fs::exists(waiting, error)) continue;
    OUTCROP_TRY(key, read_offline_key(waiting));
    if (holds(root, role, key)) {
      fs::rename(waiting, role_key_file(paths, role), error);
    } else {
      fs::remove(waiting, error);
    }
    if (error) return fail(ErrorCode::io, waiting.string() + ": " + error.message());
    OUTCROP_CHECK(sync_folder(waiting.parent_path()));
  }
  return {};
}

Result<PrivateKey> present_key(const KeyStorePaths& paths, const trust::RootMetadata& root,
                               const std::string& role) {
  const fs::path file = role_key_file(paths, role);
  OUTCROP_TRY(key, read_offline_key(file));
  if (!holds(root, role, key)) {
    return fail(ErrorCode::untrusted, file.string() + " is not the key that root version " +
                                          std::to_string(root.version) + " names for " + role);
  }
  return key;
}

using NewKeys = std::map<std::string, PrivateKey>;

Result<NewKeys> make_keys(const KeyStorePaths& paths, const std::vector<std::string>& roles) {
  NewKeys keys;
  for (const std::string& role : roles) {
    OUTCROP_TRY(key, PrivateKey::generate());
    const fs::path file = new_key_file(paths, role);
    OUTCROP_CHECK(write_like(key, file, role_key_file(paths, role)));
    OUTCROP_CHECK(sync_folder(file.parent_path()));
    keys.emplace(role, std::move(key));
  }
  return keys;
}

trust::RootMetadata next_root(const trust::RootMetadata& before, const NewKeys& keys,
                              Timestamp expires) {
  trust::RootMetadata root = before;
  ++root.version;
  root.expires = expires;
  for (const auto& [role, key] : keys) {
    const trust::PublicKey& public_key = key.public_key();
    root.keys.emplace(public_key.id(), public_key);
    root.roles[role] = {{public_key.id()}, 1};
    if (role == "targets") root.roles["revoked"] = root.roles[role];
  }
  std::erase_if(root.keys, [&](const auto& entry) {
    return std::none_of(root.roles.begin(), root.roles.end(), [&](const auto& role) {
      const auto& ids = role.second.keyids;
      return std::find(ids.begin(), ids.end(), entry.first) != ids.end();
    });
  });
  return root;
}

template <class Role>
std::string sign(const Role& role, const std::vector<PrivateKey>& keys) {
  return trust::sign_envelope(Role::kind, as_bytes(trust::to_json(role)), keys);
}

// By the old key and the new one, so that they hold under the old root and the new one.
Status sign_targets_anew(const KeyStorePaths& paths, const KeyStoreTrust& store,
                         const PrivateKey& next) {
  OUTCROP_TRY(present, present_key(paths, *store.root, "targets"));
  const std::vector<PrivateKey> both{present, next};
  trust::TargetsMetadata targets = *store.targets;
  ++targets.version;
  trust::RevokedMetadata revoked = *store.revoked;
  ++revoked.version;
  OUTCROP_CHECK(write_file_durably(paths.metadata() / "targets.json", sign(targets, both)));
  return write_file_durably(paths.metadata() / "revoked.json", sign(revoked, both));
}

Status check_roles(const std::vector<std::string>& roles) {
  for (auto role = roles.begin(); role != roles.end(); ++role) {
    const auto& known = rotatable_roles();
    if (std::find(known.begin(), known.end(), *role) == known.end()) {
      return fail(ErrorCode::invalid_argument,
                  "'" + *role +
                      "' is no role that gets new keys here: root, targets, snapshot, "
                      "timestamp or director would be right");
    }
    if (std::find(roles.begin(), role, *role) != role) {
      return fail(ErrorCode::invalid_argument, "the role " + *role + " is named twice");
    }
  }
  return {};
}

}  // namespace

const std::vector<std::string>& rotatable_roles() {
  static const std::vector<std::string> roles{"root", "targets", "snapshot", "timestamp",
                                              std::string(trust::director_role)};
  return roles;
}

Status rotate_keys(const fs::path& folder, const std::vector<std::string>& roles,
                   std::chrono::days expires, Timestamp now) {
  OUTCROP_CHECK(check_roles(roles));
  const KeyStorePaths paths(folder);
  OUTCROP_TRY(store, read_key_store(folder));
  OUTCROP_CHECK(settle(paths, *store.root));
  OUTCROP_TRY(root_key, present_key(paths, *store.root, "root"));
  OUTCROP_TRY(keys, make_keys(paths, roles));
  const trust::RootMetadata root = next_root(*store.root, keys, now + expires);
  std::vector<PrivateKey> signers{root_key};
  if (const auto next = keys.find("root"); next != keys.end()) signers.push_back(next->second);
  if (const auto next = keys.find("targets"); next != keys.end()) {
    OUTCROP_CHECK(sign_targets_anew(paths, store, next->second));
  }
  const fs::path file = paths.metadata() / root_file_name(root.version);
  OUTCROP_CHECK(write_file_durably(file, sign(root, signers)));
  return settle(paths, root);
}

}  // namespace outcrop::release
