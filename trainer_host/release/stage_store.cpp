#include "trainer_host/release/stage_store.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/shell_word.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/freshness.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view key_file = "stage.key";
constexpr std::string_view list_file = "stage.json";
constexpr ByteCount longest_path = ByteCount::kib(8);

Status check_key(const SigningKey& key, const std::string& model,
                 const KeyStoreTrust& trust) {
  const trust::KeyId id = key.id();
  const trust::Delegation* delegation = trust.targets->delegation(model);
  if (delegation == nullptr) {
    return fail(ErrorCode::untrusted, "targets delegates no key for the model '" + model + "'");
  }
  const auto& named = delegation->keys.keyids;
  if (std::find(named.begin(), named.end(), id) == named.end()) {
    return fail(ErrorCode::untrusted,
                "the stage key of '" + model + "' is not the one that targets delegates it to");
  }
  for (const trust::Revocation& entry : trust.revoked->keys) {
    if (entry.what == id) {
      return fail(ErrorCode::revoked, "the stage key of '" + model + "' was revoked on " +
                                          to_rfc3339(entry.time) + ": " + entry.reason);
    }
  }
  return {};
}

Result<std::optional<SignedList>> read_list(const fs::path& path, std::string_view model,
                                            const KeyStoreTrust& trust) {
  auto text = read_text_file(path, trust::envelope_limit);
  if (!text) {
    if (text.error().code() == ErrorCode::not_found) return std::optional<SignedList>();
    return fail(std::move(text).error());
  }
  auto verified = trust::verify_stage(trust.targets, trust.revoked, model, *text);
  if (!verified) return fail(verified.error().context(path.string()));
  return SignedList{std::move(*verified), std::move(*text)};
}

}  // namespace

Result<StageStore> StageStore::open(const fs::path& keys, std::string_view model,
                                    const KeyStoreTrust& trust) {
  const fs::path folder = KeyStorePaths(keys).stage(model);
  std::error_code error;
  if (!fs::exists(folder / key_file, error)) {
    return fail(ErrorCode::not_found, keys.string() + " holds no stage key for the model '" +
                                          std::string(model) +
                                          "': " + (folder / key_file).string() + " is missing");
  }
  OUTCROP_TRY(lock, lock_file(folder / "lock", 0600));
  OUTCROP_TRY(key, open_signing_key(folder / key_file));
  OUTCROP_CHECK(check_key(key, std::string(model), trust));
  return StageStore(KeyStorePaths(keys), std::string(model), std::move(key), std::move(lock));
}

Status StageStore::signs_alone(const KeyStoreTrust& trust) const {
  const std::uint64_t asked = trust.targets->delegation(model_)->keys.threshold;
  if (asked > 1) {
    return fail(ErrorCode::refused, trust::stage_role(model_) + " asks for " + std::to_string(asked) + " signatures, and " +
                                        paths_.folder().string() + " has 1 key of it: the others would be missing");
  }
  return nothing_waits();
}

Status StageStore::nothing_waits() const {
  return no_list_waits(paths_, model_);
}

Result<std::optional<std::string>> StageStore::made(const trust::Sha256Digest& inputs) const {
  auto text = read_text_file(folder_ / "made" / (inputs.hex() + ".json"), messages::manifest_limit);
  if (text) return std::optional(std::move(*text));
  if (text.error().code() == ErrorCode::not_found) return std::optional<std::string>();
  return fail(std::move(text).error());
}

Status StageStore::remember(const trust::Sha256Digest& inputs, std::string_view manifest) {
  std::error_code error;
  fs::create_directory(folder_ / "made", error);
  return write_file_durably(folder_ / "made" / (inputs.hex() + ".json"), manifest);
}

std::string StageStore::made_in(const trust::Sha256Digest& manifest) const {
  return read_text_file(folder_ / "made" / (manifest.hex() + ".folder"), longest_path).value_or("");
}

Status StageStore::remember_folder(const trust::Sha256Digest& manifest, const fs::path& folder) {
  std::error_code error;
  fs::create_directory(folder_ / "made", error);
  return write_file_durably(folder_ / "made" / (manifest.hex() + ".folder"),
                            fs::absolute(folder, error).lexically_normal().string());
}

Result<std::optional<SignedList>> StageStore::signed_list(const KeyStoreTrust& trust) const {
  return read_list(folder_ / list_file, model_, trust);
}

Result<std::string> StageStore::permit(const trust::PermittedRelease& release,
                                       std::chrono::days expires, Timestamp now,
                                       const KeyStoreTrust& trust) {
  OUTCROP_TRY(old, signed_list(trust));
  trust::StageMetadata list;
  list.version = 0;
  list.model = model_;
  if (old) {
    const bool listed = old->metadata->release(release.manifest) != nullptr;
    if (listed && trust::check_expiry(list_file, *old->metadata, now)) return old->envelope;
    list = *old->metadata;
  }
  if (list.release(release.manifest) == nullptr) list.releases.push_back(release);
  list.expires = now + expires;
  return sign(std::move(list), trust);
}

Result<std::string> StageStore::withdraw(const trust::Sha256Digest& manifest,
                                         std::chrono::days expires, Timestamp now,
                                         const KeyStoreTrust& trust) {
  OUTCROP_TRY(old, signed_list(trust));
  if (!old) {
    return fail(ErrorCode::not_found, "no release of '" + model_ + "' was signed in this folder");
  }
  if (old->metadata->release(manifest) == nullptr) return old->envelope;
  trust::StageMetadata list = *old->metadata;
  std::erase_if(list.releases, [&](const trust::PermittedRelease& release) {
    return release.manifest == manifest;
  });
  list.expires = now + expires;
  return sign(std::move(list), trust);
}

Result<std::uint64_t> StageStore::sign_above(std::uint64_t version, std::chrono::days expires, Timestamp now,
                                             const KeyStoreTrust& trust) {
  OUTCROP_TRY(newest, signed_list(trust));
  if (!newest) {
    return fail(ErrorCode::not_found, "no release of '" + model_ + "' was signed in this folder");
  }
  trust::StageMetadata list = *newest->metadata;
  if (list.version >= version) return list.version;
  list.version = version;
  list.expires = now + expires;
  OUTCROP_CHECK(sign(std::move(list), trust));
  return version + 1;
}

Result<std::string> StageStore::sign(trust::StageMetadata list, const KeyStoreTrust& trust) {
  ++list.version;
  OUTCROP_TRY(envelope, sign_list(paths_, trust, list, key_));
  if (envelope) return std::move(*envelope);
  const std::string file = stage_request_file(paths_, model_).string();
  return fail(ErrorCode::refused, "the list of releases of '" + model_ + "' needs further signatures: " + file +
                                      " waits for them: copy it to where such a key is, there: outcrop keys sign COPY --key FILE; back here: outcrop keys join "
                                      "COPY --dir " + shell_word(paths_.folder().string()) + "; then say this again");
}

Result<std::optional<SignedList>> read_signed_list(const fs::path& keys, std::string_view model,
                                                   const KeyStoreTrust& trust) {
  return read_list(KeyStorePaths(keys).stage(model) / list_file, model, trust);
}

}  // namespace outcrop::release
