#include "trainer_host/release/role_change.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <set>

#include "protocol/base/counted.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

using Change = std::function<Status(trust::RoleKeys& role, trust::Keys& keys)>;

bool holds_key(const trust::RoleKeys& role, const trust::KeyId& key) {
  return std::find(role.keyids.begin(), role.keyids.end(), key) != role.keyids.end();
}

Status add_signers(const KeyStorePaths& paths, const KeyStoreTrust& store, const std::string& role, Missing missing,
                   std::vector<SigningKey>& keys) {
  OUTCROP_TRY(here, keys_at_hand(paths, store, role, missing));
  keys.insert(keys.end(), here.begin(), here.end());
  return {};
}

bool holds_under(const trust::RootMetadata& root, std::string_view role, std::string_view envelope) {
  const trust::Signers signers = trust::signers_of(std::string(role), root.keys, root.roles.find(role)->second);
  return trust::verify_envelope(envelope, role, signers).has_value();
}

Status change_root(const KeyStorePaths& paths, const KeyStoreTrust& store, const std::string& role,
                   const Change& change, Missing missing) {
  NextDocuments next;
  next.root = *store.root;
  ++next.root->version;
  OUTCROP_CHECK(change(next.root->roles[role], next.root->keys));
  drop_keys_without_a_role(*next.root);
  std::vector<SigningKey> keys;
  OUTCROP_CHECK(add_signers(paths, store, "root", missing, keys));
  if (!holds_under(*next.root, "targets", store.targets.envelope())) {
    next.targets = *store.targets;
    ++next.targets->version;
    OUTCROP_CHECK(add_signers(paths, store, "targets", Missing::request, keys));
  }
  if (!holds_under(*next.root, "revoked", store.revoked.envelope())) {
    next.revoked = *store.revoked;
    ++next.revoked->version;
    OUTCROP_CHECK(add_signers(paths, store, "revoked", Missing::request, keys));
  }
  return sign_documents(paths, store, next, keys, missing);
}

Status change_delegation(const KeyStorePaths& paths, const KeyStoreTrust& store, const std::string& role,
                         const Change& change, Missing missing) {
  trust::TargetsMetadata next = *store.targets;
  const auto delegation = std::find_if(next.delegations.begin(), next.delegations.end(), [&](const trust::Delegation& entry) {
    return trust::stage_role(entry.model) == role;
  });
  if (delegation == next.delegations.end()) {
    return fail(ErrorCode::not_found, "targets delegates no " + role + ": outcrop keys show names the roles that there are");
  }
  ++next.version;
  OUTCROP_CHECK(change(delegation->keys, next.keys));
  drop_keys_without_a_role(next);
  std::vector<SigningKey> keys;
  OUTCROP_CHECK(add_signers(paths, store, "targets", missing, keys));
  return sign_documents(paths, store, {std::nullopt, std::move(next), std::nullopt}, keys, missing);
}

Status change_role(const fs::path& folder, const std::string& role, const Change& change, Missing missing) {
  const bool of_root = role == "root" || role == "targets" || role == "revoked";
  if (!of_root && !role.starts_with(trust::stage_role(""))) {
    return fail(ErrorCode::invalid_argument, "'" + role +
                                                 "' is no role with several keys: root, targets, revoked or stage-MODEL would be right "
                                                 "(the host signs the others by itself, with one key each)");
  }
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  return of_root ? change_root(paths, store, role, change, missing) : change_delegation(paths, store, role, change, missing);
}

template <class Roles>
void keep_only(trust::Keys& keys, const Roles& used) {
  std::erase_if(keys, [&](const auto& entry) { return !used.contains(entry.first); });
}

}  // namespace

void drop_keys_without_a_role(trust::RootMetadata& root) {
  std::set<trust::KeyId> used;
  for (const auto& [role, keys] : root.roles) used.insert(keys.keyids.begin(), keys.keyids.end());
  keep_only(root.keys, used);
}

void drop_keys_without_a_role(trust::TargetsMetadata& targets) {
  std::set<trust::KeyId> used;
  for (const trust::Delegation& delegation : targets.delegations) {
    used.insert(delegation.keys.keyids.begin(), delegation.keys.keyids.end());
  }
  keep_only(targets.keys, used);
}

Status set_threshold(const fs::path& folder, const std::string& role, std::uint64_t threshold, Missing missing) {
  const Change change = [&](trust::RoleKeys& keys, trust::Keys&) -> Status {
    const std::size_t most = std::min<std::size_t>(keys.keyids.size(), highest_threshold);
    if (threshold < 1 || threshold > most) {
      return fail(ErrorCode::invalid_argument, role + " has " + counted(keys.keyids.size(), "key") + ": a threshold of 1 to " +
                                                   std::to_string(most) + " would be right, not " + std::to_string(threshold) +
                                                   " (outcrop keys add-key adds one)");
    }
    if (keys.threshold == threshold) {
      return fail(ErrorCode::invalid_argument, role + " asks for " + std::to_string(threshold) + " signatures already");
    }
    keys.threshold = threshold;
    return {};
  };
  return change_role(folder, role, change, missing);
}

Status add_key(const fs::path& folder, const std::string& role, const trust::PublicKey& key, Missing missing) {
  const Change change = [&](trust::RoleKeys& keys, trust::Keys& known) -> Status {
    if (holds_key(keys, key.id())) {
      return fail(ErrorCode::already_exists, role + " has the key " + key.id().hex() + " already");
    }
    known.emplace(key.id(), key);
    keys.keyids.push_back(key.id());
    return {};
  };
  return change_role(folder, role, change, missing);
}

Status remove_key(const fs::path& folder, const std::string& role, const trust::KeyId& key, Missing missing) {
  const Change change = [&](trust::RoleKeys& keys, trust::Keys&) -> Status {
    if (!holds_key(keys, key)) return fail(ErrorCode::not_found, role + " has no key " + key.hex());
    if (keys.keyids.size() <= keys.threshold) {
      return fail(ErrorCode::refused, role + " asks for " + std::to_string(keys.threshold) +
                                          " signatures and would have fewer keys: add another key or lower the threshold first");
    }
    std::erase(keys.keyids, key);
    return {};
  };
  return change_role(folder, role, change, missing);
}

}  // namespace outcrop::release
