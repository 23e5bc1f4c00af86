#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::release {

// The folder that `outcrop keys init` makes:
//
//   offline/root.key, targets.key           sign roots, delegations and revocations; to be moved
//                                           to a medium that is kept apart. Further keys of a role
//                                           that are at hand: <role>-*.key
//   online/timestamp.key, snapshot.key,     for the host's daemon
//          director.key                     (director: commands to boards)
//   stages/<model>/stage.key                for the trainer: signs the releases of one model
//   stages/<model>/...                      what the stage key has signed so far (stage_store.hpp)
//   metadata/1.root.json, targets.json,     public; every release carries them
//            revoked.json
//
// Key files are PKCS #8 PEM with mode 0600 in folders of mode 0700; others may pass through the
// folder itself (0711) and read metadata/. Nothing but init and the offline operations below
// needs offline/ to be there.

struct KeyStoreOptions {
  std::vector<std::string> models;          // at least one
  std::chrono::days root_expires{5 * 365};  // longest time between two uses of root.key
  std::chrono::days targets_expires{365};   // the same for targets.key
  // PKCS #11 URIs (token_key.hpp) of keys that are on tokens already: offline/ then holds the URI. "": a file is made.
  std::string root_key{};
  std::string targets_key{};
};

// Where things are in a key store.
class KeyStorePaths {
 public:
  explicit KeyStorePaths(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] std::filesystem::path offline_key(std::string_view role) const;
  [[nodiscard]] std::filesystem::path online_key(std::string_view role) const;
  [[nodiscard]] std::filesystem::path stage(std::string_view model) const;
  [[nodiscard]] std::filesystem::path metadata() const { return folder_ / "metadata"; }

 private:
  std::filesystem::path folder_;
};

// Makes keys and first metadata, whole or not at all. already_exists where the folder is there
// and not empty: keys are never overwritten.
[[nodiscard]] Status init_key_store(const std::filesystem::path& folder,
                                    const KeyStoreOptions& options, Timestamp now);

// The public side of a key store: what its owner trusts.
struct KeyStoreTrust {
  trust::TrustedRoot root;  // the newest of the chain
  trust::Verified<trust::TargetsMetadata> targets;
  trust::Verified<trust::RevokedMetadata> revoked;
};
[[nodiscard]] Result<KeyStoreTrust> read_key_store(const std::filesystem::path& folder);

[[nodiscard]] bool is_key_folder(const std::filesystem::path& folder);
// not_found, with what to do, where it is none; io where that may not be looked at.
[[nodiscard]] Status check_key_folder(const std::filesystem::path& folder);

// A release under metadata that has expired could be installed nowhere: `expired` names it.
[[nodiscard]] Status check_fresh(const KeyStoreTrust& trust, Timestamp now);

// What of it expires within `ahead` of `now`, and what to do, a sentence each; past that,
// check_fresh() speaks.
[[nodiscard]] std::vector<std::string> expiring_soon(
    const KeyStoreTrust& trust, Timestamp now, std::chrono::seconds ahead = std::chrono::days(30));

// The newest root in a metadata folder that can be reached from `trusted` through
// <n>.root.json files, each signed by the one before.
[[nodiscard]] Result<trust::TrustedRoot> follow_roots(trust::TrustedRoot trusted,
                                                      const std::filesystem::path& metadata);
[[nodiscard]] Result<trust::TrustedRoot> pin_root_file(const std::filesystem::path& file);
[[nodiscard]] std::string root_file_name(std::uint64_t version);  // "1.root.json"

// What becomes of a document that the keys at hand do not suffice for: nothing, or it waits for signatures that are
// made elsewhere (sign_documents.hpp).
enum class Missing { refuse, request };

// Offline operations: they need keys of targets and write new versions of the documents, valid
// for `expires` from `now`. Revoking what is revoked already changes nothing.
[[nodiscard]] Status renew_targets(const std::filesystem::path& folder, std::chrono::days expires,
                                   Timestamp now, Missing missing = Missing::refuse);
// Makes stage keys for further models; a key that an attempt before left behind is taken up, none is
// overwritten. already_exists where stages of a model are signed for already.
[[nodiscard]] Status add_models(const std::filesystem::path& folder,
                                const std::vector<std::string>& models, std::chrono::days expires,
                                Timestamp now, Missing missing = Missing::refuse);
[[nodiscard]] Status revoke_manifest(const std::filesystem::path& folder,
                                     const trust::Revocation& manifest, std::chrono::days expires,
                                     Timestamp now, Missing missing = Missing::refuse);
[[nodiscard]] Status revoke_key(const std::filesystem::path& folder, const trust::Revocation& key,
                                std::chrono::days expires, Timestamp now,
                                Missing missing = Missing::refuse);

}  // namespace outcrop::release
