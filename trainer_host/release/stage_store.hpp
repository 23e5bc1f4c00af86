#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/signing_key.hpp"

namespace outcrop::release {

// The newest list of permitted releases, with the exact envelope that was signed.
struct SignedList {
  trust::Verified<trust::StageMetadata> metadata;
  std::string envelope;
};

// The trainer's part of a key store: one model's stage key and what it has signed.
//
//   stage.key             the key
//   stage.json            the newest signed list of permitted releases
//   made/<inputs>.json    the manifest that was made from these inputs (a digest of artifact,
//                         policy and flags), kept before it is signed: a stage end that was
//                         killed and started again finds it and ends with the same release
//   made/<manifest>.folder where the release folder of that manifest was made last
//   lock                  held by whoever signs
//
// Every file is replaced whole. Holds the lock as long as it lives: two trainers that end a
// stage at the same time take turns.
class StageStore {
 public:
  // Errors: not_found where the key store has no such model; untrusted where the key is not the
  // one that targets delegates the model to; revoked where that key is on the list.
  [[nodiscard]] static Result<StageStore> open(const std::filesystem::path& keys,
                                               std::string_view model, const KeyStoreTrust& trust);

  // Whether what it signs counts at once. refused, with what to do, where the model's threshold asks for more signatures
  // than this key's, or a list waits for signatures already.
  [[nodiscard]] Status signs_alone(const KeyStoreTrust& trust) const;
  // refused where a list waits for signatures: another cannot be signed.
  [[nodiscard]] Status nothing_waits() const;

  [[nodiscard]] Result<std::optional<std::string>> made(const trust::Sha256Digest& inputs) const;
  [[nodiscard]] Status remember(const trust::Sha256Digest& inputs, std::string_view manifest);

  // Where the folder of a release was made last; "" where that is not known.
  [[nodiscard]] std::string made_in(const trust::Sha256Digest& manifest) const;
  [[nodiscard]] Status remember_folder(const trust::Sha256Digest& manifest,
                                       const std::filesystem::path& folder);

  // What was signed so far, verified but for expiry; nothing before the first release.
  [[nodiscard]] Result<std::optional<SignedList>> signed_list(const KeyStoreTrust& trust) const;

  // Where the model's threshold asks for more signatures than this key's, what signs a list fails with refused, and the
  // list waits in request.json (sign_documents.hpp); once it is joined, the same call finds it signed.

  // The signed list (an envelope) with this release in it. Signs a new version, valid for
  // `expires`, only where the release is not in the newest or that has expired.
  [[nodiscard]] Result<std::string> permit(const trust::PermittedRelease& release,
                                           std::chrono::days expires, Timestamp now,
                                           const KeyStoreTrust& trust);

  // The signed list without this release: where it is in the newest, a new version is signed, valid
  // for `expires`; else the newest is returned as it is. not_found where nothing was signed yet.
  [[nodiscard]] Result<std::string> withdraw(const trust::Sha256Digest& manifest,
                                             std::chrono::days expires, Timestamp now,
                                             const KeyStoreTrust& trust);

  // Signs the newest list anew, above `version` and valid for `expires`, where it is older than that. Returns the newest
  // version. not_found where nothing was signed yet.
  [[nodiscard]] Result<std::uint64_t> sign_above(std::uint64_t version, std::chrono::days expires, Timestamp now,
                                                 const KeyStoreTrust& trust);

 private:
  [[nodiscard]] Result<std::string> sign(trust::StageMetadata list, const KeyStoreTrust& trust);

  StageStore(KeyStorePaths paths, std::string model, SigningKey key, UniqueFd lock)
      : paths_(std::move(paths)),
        folder_(paths_.stage(model)),
        model_(std::move(model)),
        key_(std::move(key)),
        lock_(std::move(lock)) {}

  KeyStorePaths paths_;
  std::filesystem::path folder_;
  std::string model_;
  SigningKey key_;
  UniqueFd lock_;
};

// The newest signed list of a model, for those who only read: no key is needed, no lock is held.
// Verified but for expiry; nothing before the first release.
[[nodiscard]] Result<std::optional<SignedList>> read_signed_list(const std::filesystem::path& keys,
                                                                 std::string_view model,
                                                                 const KeyStoreTrust& trust);

}  // namespace outcrop::release
