#include "trainer_host/release/settle.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/trust/role_codec.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/rotate.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

bool names(const trust::RoleKeys& keys, const trust::PublicKey& key) {
  return std::find(keys.keyids.begin(), keys.keyids.end(), key.id()) != keys.keyids.end();
}

Status settle_key(const fs::path& file, const trust::RoleKeys* named) {
  const fs::path waiting = waiting_key_file(file);
  std::error_code error;
  if (!fs::exists(waiting, error)) return {};
  OUTCROP_TRY(key, read_offline_key(waiting));
  if (named != nullptr && names(*named, key.public_key())) {
    fs::rename(waiting, file, error);
  } else {
    fs::remove(waiting, error);
  }
  if (error) return fail(ErrorCode::io, waiting.string() + ": " + error.message());
  return sync_folder(waiting.parent_path());
}

// What this folder has signed, whether its key is still good or not: nobody but its owner writes here.
Result<trust::StageMetadata> own_list(const std::string& envelope) {
  OUTCROP_TRY(payload, trust::unverified_payload(envelope, trust::StageMetadata::kind));
  return trust::parse_role<trust::StageMetadata>(payload);
}

Status settle_list(const KeyStorePaths& paths, const KeyStoreTrust& store, const trust::Delegation& delegation) {
  const fs::path folder = paths.stage(delegation.model);
  std::error_code error;
  if (!fs::exists(folder / "stage.json", error) || !fs::exists(folder / "stage.key", error)) return {};
  OUTCROP_TRY(envelope, read_text_file(folder / "stage.json", trust::envelope_limit));
  if (trust::verify_stage(store.targets, store.revoked, delegation.model, envelope)) return {};
  OUTCROP_TRY(key, open_signing_key(folder / "stage.key"));
  const bool revoked = std::any_of(store.revoked->keys.begin(), store.revoked->keys.end(),
                                   [&](const trust::Revocation& entry) { return entry.what == key.id(); });
  if (revoked || !names(delegation.keys, key.public_key())) return {};
  if (fs::exists(stage_request_file(paths, delegation.model), error)) return {};
  OUTCROP_TRY(list, own_list(envelope));
  ++list.version;
  OUTCROP_CHECK(sign_list(paths, store, list, key));
  return {};
}

}  // namespace

bool is_kept_offline(const std::string& role) {
  return role == "root" || role == "targets";
}

fs::path role_key_file(const KeyStorePaths& paths, const std::string& role) {
  return is_kept_offline(role) ? paths.offline_key(role) : paths.online_key(role);
}

fs::path waiting_key_file(const fs::path& key) {
  fs::path file = key;
  file += ".new";
  return file;
}

Status settle_keys(const KeyStorePaths& paths) {
  OUTCROP_TRY(store, read_key_store(paths.folder()));
  for (const std::string& role : rotatable_roles()) {
    const auto found = store.root->roles.find(role);
    OUTCROP_CHECK(settle_key(role_key_file(paths, role), found == store.root->roles.end() ? nullptr : &found->second));
  }
  for (const trust::Delegation& delegation : store.targets->delegations) {
    const fs::path folder = paths.stage(delegation.model);
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    OUTCROP_TRY(lock, lock_file(folder / "lock", 0600));
    OUTCROP_CHECK(settle_key(folder / "stage.key", &delegation.keys));
    OUTCROP_CHECK(settle_list(paths, store, delegation));
  }
  return {};
}

}  // namespace outcrop::release
