#include "trainer_host/release/delegate.hpp"

#include <algorithm>
#include <optional>
#include <span>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/trust/role_codec.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/offline_key.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using trust::PrivateKey;

// Where a stage key is, what it signed, and a key that waits for its delegation.
struct StageFiles {
  explicit StageFiles(const fs::path& folder)
      : key(folder / "stage.key"), list(folder / "stage.json"), next(folder / "stage.key.new") {}
  fs::path key;
  fs::path list;
  fs::path next;
};

template <class Role>
std::string sign(const Role& role, const PrivateKey& key) {
  return trust::sign_envelope(Role::kind, as_bytes(trust::to_json(role)), std::span(&key, 1));
}

bool names(const trust::TargetsMetadata& targets, const std::string& model, const PrivateKey& key) {
  const trust::Delegation* delegation = targets.delegation(model);
  if (delegation == nullptr) return false;
  const auto& ids = delegation->keys.keyids;
  return std::find(ids.begin(), ids.end(), key.public_key().id()) != ids.end();
}

// What this folder has signed, whether its key is still good or not: nobody but its owner writes here.
Status sign_list_anew(const StageFiles& files, const PrivateKey& key) {
  std::error_code error;
  if (!fs::exists(files.list, error)) return {};
  OUTCROP_TRY(text, read_text_file(files.list, trust::envelope_limit));
  OUTCROP_TRY(payload, trust::unverified_payload(text, trust::StageMetadata::kind));
  OUTCROP_TRY(list, trust::parse_role<trust::StageMetadata>(payload));
  ++list.version;
  return write_file_durably(files.list, sign(list, key));
}

// A key that waits takes its place where targets names it; else it comes from a call that was cut off
// before it counted.
Status settle(const StageFiles& files, const trust::TargetsMetadata& targets,
              const std::string& model) {
  std::error_code error;
  if (!fs::exists(files.next, error)) return {};
  OUTCROP_TRY(key, PrivateKey::read_pem(files.next));
  if (names(targets, model, key)) {
    OUTCROP_CHECK(sign_list_anew(files, key));
    fs::rename(files.next, files.key, error);
  } else {
    fs::remove(files.next, error);
  }
  if (error) return fail(ErrorCode::io, files.next.string() + ": " + error.message());
  return sync_folder(files.next.parent_path());
}

trust::TargetsMetadata next_targets(const trust::TargetsMetadata& before, const std::string& model,
                                    const trust::PublicKey& key, Timestamp expires) {
  trust::TargetsMetadata targets = before;
  ++targets.version;
  targets.expires = expires;
  targets.keys.emplace(key.id(), key);
  for (trust::Delegation& delegation : targets.delegations) {
    if (delegation.model == model) delegation.keys = {{key.id()}, 1};
  }
  std::erase_if(targets.keys, [&](const auto& entry) {
    return std::none_of(targets.delegations.begin(), targets.delegations.end(),
                        [&](const trust::Delegation& delegation) {
                          const auto& ids = delegation.keys.keyids;
                          return std::find(ids.begin(), ids.end(), entry.first) != ids.end();
                        });
  });
  return targets;
}

}  // namespace

Status delegate_anew(const fs::path& folder, const std::string& model, std::chrono::days expires,
                     Timestamp now) {
  const KeyStorePaths paths(folder);
  OUTCROP_TRY(store, read_key_store(folder));
  if (store.targets->delegation(model) == nullptr) {
    return fail(ErrorCode::not_found, folder.string() + " signs no stages of '" + model +
                                          "' yet: outcrop keys add-model makes its first key");
  }
  const StageFiles files(paths.stage(model));
  OUTCROP_TRY(lock, lock_file(paths.stage(model) / "lock", 0600));
  OUTCROP_CHECK(settle(files, *store.targets, model));
  OUTCROP_TRY(signer, read_offline_key(paths.offline_key("targets")));
  OUTCROP_TRY(key, PrivateKey::generate());
  OUTCROP_CHECK(key.write_pem(files.next));
  OUTCROP_CHECK(sync_folder(files.next.parent_path()));
  const trust::TargetsMetadata targets =
      next_targets(*store.targets, model, key.public_key(), now + expires);
  OUTCROP_CHECK(write_file_durably(paths.metadata() / "targets.json", sign(targets, signer)));
  return settle(files, targets, model);
}

}  // namespace outcrop::release
