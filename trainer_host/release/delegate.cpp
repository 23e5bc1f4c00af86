#include "trainer_host/release/delegate.hpp"

#include <algorithm>
#include <optional>

#include "protocol/base/counted.hpp"
#include "protocol/base/durable_file.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/role_change.hpp"
#include "trainer_host/release/settle.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using trust::PrivateKey;

// The key that the new one takes the place of: the one that is here or, where that was lost, the only one.
Result<trust::KeyId> replaced_key(const fs::path& file, const trust::Delegation& delegation) {
  const auto& ids = delegation.keys.keyids;
  std::error_code error;
  if (fs::exists(file, error)) {
    OUTCROP_TRY(key, open_signing_key(file));
    if (std::find(ids.begin(), ids.end(), key.id()) != ids.end()) return key.id();
  }
  if (ids.size() == 1) return ids.front();
  return fail(ErrorCode::refused, file.string() + " is none of the " + counted(ids.size(), "key") + " of " +
                                      trust::stage_role(delegation.model) +
                                      ": outcrop keys remove-key and add-key say which is replaced");
}

trust::TargetsMetadata next_targets(const trust::TargetsMetadata& before, const std::string& model,
                                    const trust::KeyId& old, const trust::PublicKey& key, Timestamp expires) {
  trust::TargetsMetadata targets = before;
  ++targets.version;
  targets.expires = expires;
  targets.keys.emplace(key.id(), key);
  for (trust::Delegation& delegation : targets.delegations) {
    auto& ids = delegation.keys.keyids;
    if (delegation.model == model) std::replace(ids.begin(), ids.end(), old, key.id());
  }
  drop_keys_without_a_role(targets);
  return targets;
}

}  // namespace

Status delegate_anew(const fs::path& folder, const std::string& model, std::chrono::days expires,
                     Timestamp now, Missing missing) {
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  const trust::Delegation* delegation = store.targets->delegation(model);
  if (delegation == nullptr) {
    return fail(ErrorCode::not_found, folder.string() + " signs no stages of '" + model +
                                          "' yet: outcrop keys add-model makes its first key");
  }
  OUTCROP_CHECK(settle_keys(paths));
  OUTCROP_TRY(signers, keys_at_hand(paths, store, "targets", missing));
  const fs::path file = paths.stage(model) / "stage.key";
  OUTCROP_TRY(old, replaced_key(file, *delegation));
  OUTCROP_TRY(key, PrivateKey::generate());
  OUTCROP_CHECK(key.write_pem(waiting_key_file(file)));
  OUTCROP_CHECK(sync_folder(file.parent_path()));
  const trust::TargetsMetadata targets = next_targets(*store.targets, model, old, key.public_key(), now + expires);
  return sign_documents_of_new_keys(paths, store, {std::nullopt, targets, std::nullopt}, signers, missing);
}

}  // namespace outcrop::release
