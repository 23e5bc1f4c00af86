#include "trainer_host/release/rotate.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/role_change.hpp"
#include "trainer_host/release/settle.hpp"
#include "trainer_host/release/sign_documents.hpp"
#include "trainer_host/release/token_key.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using trust::PrivateKey;

Result<SigningKey> present_key(const KeyStorePaths& paths, const KeyStoreTrust& store, const std::string& role) {
  const fs::path file = role_key_file(paths, role);
  OUTCROP_TRY(key, open_signing_key(file));
  if (!store.root.signers(role).keys.contains(key.id())) {
    return fail(ErrorCode::untrusted, file.string() + " is not the key that root version " +
                                          std::to_string(store.root->version) + " names for " + role);
  }
  return key;
}

// A role's new key, and the one whose place it takes: of a role that is kept offline the one that is here, of the
// host's, which have one key each, whatever there was.
struct Replacement {
  PrivateKey next;
  std::optional<trust::KeyId> old;
};
using NewKeys = std::map<std::string, Replacement>;

Result<NewKeys> make_keys(const KeyStorePaths& paths, const KeyStoreTrust& store, const std::vector<std::string>& roles) {
  std::map<std::string, std::optional<trust::KeyId>> present;
  for (const std::string& role : roles) {
    if (!is_kept_offline(role)) {
      present[role] = std::nullopt;
      continue;
    }
    if (token_uri(role_key_file(paths, role))) {
      return fail(ErrorCode::refused, "the key of " + role + " is on a token, where another is made by the token's own means: then outcrop keys "
                                      "add-key and remove-key");
    }
    OUTCROP_TRY(key, present_key(paths, store, role));
    present[role] = key.id();
  }
  NewKeys keys;
  for (const auto& [role, old] : present) {
    OUTCROP_TRY(key, PrivateKey::generate());
    const fs::path file = waiting_key_file(role_key_file(paths, role));
    OUTCROP_CHECK(write_like(key, file, role_key_file(paths, role)));
    OUTCROP_CHECK(sync_folder(file.parent_path()));
    keys.emplace(role, Replacement{std::move(key), old});
  }
  return keys;
}

void replace(trust::RoleKeys& keys, const Replacement& replacement) {
  const trust::KeyId next = replacement.next.public_key().id();
  if (replacement.old) {
    std::replace(keys.keyids.begin(), keys.keyids.end(), *replacement.old, next);
  } else {
    keys = {{next}, 1};
  }
}

trust::RootMetadata next_root(const trust::RootMetadata& before, const NewKeys& keys,
                              Timestamp expires) {
  trust::RootMetadata root = before;
  ++root.version;
  root.expires = expires;
  for (const auto& [role, replacement] : keys) {
    const trust::PublicKey& public_key = replacement.next.public_key();
    root.keys.emplace(public_key.id(), public_key);
    replace(root.roles[role], replacement);
    if (role == "targets") replace(root.roles["revoked"], replacement);
  }
  drop_keys_without_a_role(root);
  return root;
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
                   std::chrono::days expires, Timestamp now, Missing missing) {
  OUTCROP_CHECK(check_roles(roles));
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  OUTCROP_CHECK(settle_keys(paths));
  OUTCROP_TRY(signers, keys_at_hand(paths, store, "root", missing));
  OUTCROP_TRY(keys, make_keys(paths, store, roles));
  NextDocuments next;
  next.root = next_root(*store.root, keys, now + expires);
  for (const auto& [role, replacement] : keys) signers.emplace_back(replacement.next);
  if (keys.contains("targets")) {
    // A key that signs no more has its documents signed anew, by those that do.
    next.targets = *store.targets;
    ++next.targets->version;
    next.revoked = *store.revoked;
    ++next.revoked->version;
    for (const char* role : {"targets", "revoked"}) {
      OUTCROP_TRY(others, keys_at_hand(paths, store, role, Missing::request));
      signers.insert(signers.end(), others.begin(), others.end());
    }
  }
  return sign_documents_of_new_keys(paths, store, next, signers, missing);
}

}  // namespace outcrop::release
