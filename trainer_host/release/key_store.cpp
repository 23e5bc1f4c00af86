#include "trainer_host/release/key_store.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/vacant_folder.hpp"
#include "protocol/messages/names.hpp"
#include "protocol/trust/freshness.hpp"
#include "trainer_host/release/new_file.hpp"
#include "trainer_host/release/sign_documents.hpp"
#include "trainer_host/release/token_key.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

using trust::PrivateKey;

constexpr std::string_view targets_file = "targets.json";
constexpr std::string_view revoked_file = "revoked.json";

template <class Role>
Result<std::string> sign_role(const Role& role, const SigningKey& key) {
  const std::string text = trust::to_json(role);
  return sign_envelope(Role::kind, as_bytes(text), {&key, 1});
}

// In a file, or on the token that `uri` names: then that is what the file says.
Result<SigningKey> make_offline(const fs::path& file, const std::string& uri) {
  if (!uri.empty()) {
    if (token_uri(uri) != uri) return fail(ErrorCode::invalid_argument, "'" + uri + "' is no PKCS #11 URI (pkcs11:token=…;object=…)");
    OUTCROP_TRY(key, open_signing_key(uri));
    OUTCROP_CHECK(write_new_file(file, uri + "\n"));
    return key;
  }
  OUTCROP_TRY(key, PrivateKey::generate());
  OUTCROP_CHECK(key.write_pem(file));
  return SigningKey(key);
}

void add_role(trust::RootMetadata& root, const std::string& role, const trust::PublicKey& public_key) {
  root.keys.emplace(public_key.id(), public_key);
  root.roles[role] = {{public_key.id()}, 1};
}

// A key that is there already is one that an attempt before made and did not come to sign for.
Result<PrivateKey> make_stage_key(const fs::path& folder) {
  const fs::path file = folder / "stage.key";
  std::error_code error;
  if (fs::exists(file, error)) return PrivateKey::read_pem(file);
  if (!fs::exists(folder, error)) OUTCROP_CHECK(make_folder(folder, 0700));
  OUTCROP_TRY(key, PrivateKey::generate());
  OUTCROP_CHECK(key.write_pem(file));
  return key;
}

Status add_delegations(const KeyStorePaths& paths, const std::vector<std::string>& models,
                       trust::TargetsMetadata& targets) {
  for (const std::string& model : models) {
    OUTCROP_TRY(key, make_stage_key(paths.stage(model)));
    targets.keys.emplace(key.public_key().id(), key.public_key());
    targets.delegations.push_back({model, {{key.public_key().id()}, 1}});
  }
  return {};
}

Status fill_key_store(const KeyStorePaths& paths, const KeyStoreOptions& options, Timestamp now) {
  for (const char* name : {"offline", "online", "stages"}) {
    OUTCROP_CHECK(make_folder(paths.folder() / name, 0700));
  }
  OUTCROP_CHECK(make_folder(paths.metadata(), 0755));
  OUTCROP_TRY(root_key, make_offline(paths.offline_key("root"), options.root_key));
  OUTCROP_TRY(targets_key, make_offline(paths.offline_key("targets"), options.targets_key));
  OUTCROP_TRY(snapshot_key, PrivateKey::generate());
  OUTCROP_TRY(timestamp_key, PrivateKey::generate());
  OUTCROP_TRY(director_key, PrivateKey::generate());
  OUTCROP_CHECK(snapshot_key.write_pem(paths.online_key("snapshot")));
  OUTCROP_CHECK(timestamp_key.write_pem(paths.online_key("timestamp")));
  OUTCROP_CHECK(director_key.write_pem(paths.online_key(trust::director_role)));

  trust::RootMetadata root;
  root.expires = now + options.root_expires;
  add_role(root, "root", root_key.public_key());
  add_role(root, "targets", targets_key.public_key());
  add_role(root, "revoked", targets_key.public_key());
  add_role(root, "snapshot", snapshot_key.public_key());
  add_role(root, "timestamp", timestamp_key.public_key());
  add_role(root, std::string(trust::director_role), director_key.public_key());
  trust::TargetsMetadata targets;
  targets.expires = now + options.targets_expires;
  OUTCROP_CHECK(add_delegations(paths, options.models, targets));
  trust::RevokedMetadata revoked;
  revoked.expires = now + options.targets_expires;
  OUTCROP_TRY(root_envelope, sign_role(root, root_key));
  OUTCROP_TRY(targets_envelope, sign_role(targets, targets_key));
  OUTCROP_TRY(revoked_envelope, sign_role(revoked, targets_key));
  OUTCROP_CHECK(write_new_file(paths.metadata() / root_file_name(root.version), root_envelope));
  OUTCROP_CHECK(write_new_file(paths.metadata() / targets_file, targets_envelope));
  return write_new_file(paths.metadata() / revoked_file, revoked_envelope);
}

Status check_models(const std::vector<std::string>& models) {
  if (models.empty()) {
    return fail(ErrorCode::invalid_argument,
                "name at least one model that stages will be signed for");
  }
  std::set<std::string> seen;
  for (const std::string& model : models) {
    if (!messages::is_name(model)) {
      return fail(ErrorCode::invalid_argument,
                  "'" + model + "' is not a model name: 1 to 63 of a-z, 0-9 and -");
    }
    if (!seen.insert(model).second) {
      return fail(ErrorCode::invalid_argument, "the model '" + model + "' is named twice");
    }
  }
  return {};
}

Status check_options(const KeyStoreOptions& options) {
  OUTCROP_CHECK(check_models(options.models));
  if (options.root_expires.count() < 1 || options.targets_expires.count() < 1 ||
      options.root_expires.count() > 36500 || options.targets_expires.count() > 36500) {
    return fail(ErrorCode::invalid_argument, "metadata must be valid for 1 to 36500 days");
  }
  return {};
}

Result<std::string> read_envelope(const fs::path& path) {
  return read_text_file(path, trust::envelope_limit);
}

// Others may pass through the folder and read metadata/, whatever the umask says: they verify with
// it. The keys lie in folders that are their owner's alone.
Status open_metadata_to_all(const KeyStorePaths& paths) {
  std::error_code error;
  const auto all_read = fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                        fs::perms::others_read | fs::perms::others_exec;
  fs::permissions(paths.folder(),
                  fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec, error);
  if (!error) fs::permissions(paths.metadata(), all_read, error);
  for (const auto& entry : fs::directory_iterator(paths.metadata(), error)) {
    if (!error) fs::permissions(entry.path(), fs::perms(0644), error);
  }
  if (error) return fail(ErrorCode::io, paths.folder().string() + ": " + error.message());
  return {};
}

// Adds `entry` to the list that `which` selects and signs the next version.
Status revoke(const fs::path& folder, const trust::Revocation& entry,
              std::vector<trust::Revocation> trust::RevokedMetadata::*which,
              std::chrono::days expires, Timestamp now, Missing missing) {
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  trust::RevokedMetadata next = *store.revoked;
  auto& list = next.*which;
  if (std::any_of(list.begin(), list.end(),
                  [&](const trust::Revocation& old) { return old.what == entry.what; })) {
    return {};
  }
  OUTCROP_TRY(keys, keys_at_hand(paths, store, "revoked", missing));
  list.push_back(entry);
  ++next.version;
  next.expires = now + expires;
  return sign_documents(paths, store, {std::nullopt, std::nullopt, std::move(next)}, keys, missing);
}

}  // namespace

fs::path KeyStorePaths::offline_key(std::string_view role) const {
  return folder_ / "offline" / (std::string(role) + ".key");
}

fs::path KeyStorePaths::online_key(std::string_view role) const {
  return folder_ / "online" / (std::string(role) + ".key");
}

fs::path KeyStorePaths::stage(std::string_view model) const {
  return folder_ / "stages" / model;
}

std::string root_file_name(std::uint64_t version) {
  return std::to_string(version) + ".root.json";
}

Status init_key_store(const fs::path& folder, const KeyStoreOptions& options, Timestamp now) {
  OUTCROP_CHECK(check_options(options));
  std::error_code error;
  if (!is_vacant(folder)) {
    return fail(ErrorCode::already_exists, folder.string() +
                                               " exists already; keys are never overwritten: "
                                               "name another folder or move this one away");
  }
  const fs::path place = folder.has_filename() ? folder : folder.parent_path();
  const fs::path parent = fs::absolute(place, error).parent_path();
  if (!fs::is_directory(parent, error)) {
    return fail(ErrorCode::not_found, "the folder " + parent.string() + " does not exist");
  }
  std::string staged = filling_place(place, parent / ".outcrop-keys").string() + "-XXXXXX";
  if (::mkdtemp(staged.data()) == nullptr) {  // mode 0700
    return fail(Error::from_errno("making " + staged));
  }
  Status status = fill_key_store(KeyStorePaths(staged), options, now);
  if (status) status = open_metadata_to_all(KeyStorePaths(staged));
  if (status) status = publish_folder(staged, place);
  if (!status) fs::remove_all(staged, error);
  return status;
}

Result<trust::TrustedRoot> pin_root_file(const fs::path& file) {
  auto envelope = read_envelope(file);
  if (!envelope) return fail(envelope.error().context("trust root"));
  auto root = trust::TrustedRoot::pin(*envelope);
  if (!root) return fail(root.error().context("trust root " + file.string()));
  return root;
}

Result<trust::TrustedRoot> follow_roots(trust::TrustedRoot trusted, const fs::path& metadata) {
  while (true) {
    const fs::path next_file = metadata / root_file_name(trusted->version + 1);
    std::error_code error;
    if (!fs::exists(next_file, error)) return trusted;
    OUTCROP_TRY(envelope, read_envelope(next_file));
    auto next = trusted.follow(envelope);
    if (!next) return fail(next.error().context(next_file.string()));
    trusted = std::move(*next);
  }
}

bool is_key_folder(const fs::path& folder) {
  std::error_code error;
  return fs::exists(KeyStorePaths(folder).metadata() / root_file_name(1), error);
}

Status check_key_folder(const fs::path& folder) {
  const KeyStorePaths paths(folder);
  std::error_code error;
  const fs::path first_root = paths.metadata() / root_file_name(1);
  const bool there = fs::exists(first_root, error);
  if (error == std::errc::permission_denied) {
    return fail(ErrorCode::io, "you may not read " + first_root.string() +
                                   ": as its owner, chmod a+x " + folder.string() +
                                   " and chmod -R a+rX " + paths.metadata().string() +
                                   " (the keys stay the owner's alone)");
  }
  if (!there) {
    return fail(ErrorCode::not_found, folder.string() +
                                          " is not a key folder: it has no metadata/1.root.json "
                                          "(outcrop keys init makes one)");
  }
  return {};
}

Result<KeyStoreTrust> read_key_store(const fs::path& folder) {
  OUTCROP_CHECK(check_key_folder(folder));
  const KeyStorePaths paths(folder);
  std::error_code error;
  OUTCROP_TRY(first, pin_root_file(paths.metadata() / root_file_name(1)));
  OUTCROP_TRY(root, follow_roots(std::move(first), paths.metadata()));
  OUTCROP_TRY(targets_envelope, read_envelope(paths.metadata() / targets_file));
  auto targets = trust::verify_targets(root, targets_envelope);
  if (!targets && fs::exists(request_file(folder), error)) {
    return fail(targets.error().context(folder.string() + " was left while it changed (outcrop keys join finishes that)"));
  }
  if (!targets) return fail(std::move(targets).error());
  OUTCROP_TRY(revoked_envelope, read_envelope(paths.metadata() / revoked_file));
  OUTCROP_TRY(revoked, trust::verify_revoked(root, revoked_envelope));
  return KeyStoreTrust{std::move(root), std::move(*targets), std::move(revoked)};
}

Status check_fresh(const KeyStoreTrust& trust, Timestamp now) {
  OUTCROP_CHECK(trust::check_expiry("root", *trust.root, now));
  OUTCROP_CHECK(trust::check_expiry("targets", *trust.targets, now));
  return trust::check_expiry("revoked", *trust.revoked, now);
}

std::vector<std::string> expiring_soon(const KeyStoreTrust& trust, Timestamp now,
                                       std::chrono::seconds ahead) {
  constexpr const char* renew = "outcrop keys renew --dir KEYS";
  const std::array<std::tuple<const char*, Timestamp, const char*>, 3> roles{{
      {"root", trust.root->expires, "outcrop keys rotate --dir KEYS"},
      {"targets", trust.targets->expires, renew},
      {"revoked", trust.revoked->expires, renew},
  }};
  std::vector<std::string> words;
  for (const auto& [role, expires, remedy] : roles) {
    if (expires <= now || expires - now > ahead) continue;
    const auto days = std::chrono::floor<std::chrono::days>(expires - now).count();
    words.push_back(std::string(role) + " expires on " + to_rfc3339(expires) + ", in " +
                    std::to_string(days) + (days == 1 ? " day" : " days") +
                    ": nothing is released after that; before it: " + remedy);
  }
  return words;
}

Status renew_targets(const fs::path& folder, std::chrono::days expires, Timestamp now, Missing missing) {
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  OUTCROP_TRY(keys, keys_at_hand(paths, store, "targets", missing));
  OUTCROP_TRY(of_revoked, keys_at_hand(paths, store, "revoked", missing));
  keys.insert(keys.end(), of_revoked.begin(), of_revoked.end());
  trust::TargetsMetadata targets = *store.targets;
  ++targets.version;
  targets.expires = now + expires;
  trust::RevokedMetadata revoked = *store.revoked;
  ++revoked.version;
  revoked.expires = now + expires;
  return sign_documents(paths, store, {std::nullopt, std::move(targets), std::move(revoked)}, keys, missing);
}

Status add_models(const fs::path& folder, const std::vector<std::string>& models,
                  std::chrono::days expires, Timestamp now, Missing missing) {
  OUTCROP_CHECK(check_models(models));
  const KeyStorePaths paths(folder);
  OUTCROP_CHECK(take_up_request(folder));
  OUTCROP_TRY(store, read_key_store(folder));
  for (const std::string& model : models) {
    if (store.targets->delegation(model) == nullptr) continue;
    return fail(ErrorCode::already_exists,
                folder.string() + " signs stages of '" + model + "' already");
  }
  OUTCROP_TRY(signers, keys_at_hand(paths, store, "targets", missing));
  trust::TargetsMetadata targets = *store.targets;
  ++targets.version;
  targets.expires = now + expires;
  OUTCROP_CHECK(add_delegations(paths, models, targets));
  // The keys first: what targets names must be there.
  OUTCROP_CHECK(sync_folder(paths.folder() / "stages"));
  for (const std::string& model : models) OUTCROP_CHECK(sync_folder(paths.stage(model)));
  return sign_documents(paths, store, {std::nullopt, std::move(targets), std::nullopt}, signers, missing);
}

Status revoke_manifest(const fs::path& folder, const trust::Revocation& manifest,
                       std::chrono::days expires, Timestamp now, Missing missing) {
  return revoke(folder, manifest, &trust::RevokedMetadata::manifests, expires, now, missing);
}

Status revoke_key(const fs::path& folder, const trust::Revocation& key, std::chrono::days expires,
                  Timestamp now, Missing missing) {
  return revoke(folder, key, &trust::RevokedMetadata::keys, expires, now, missing);
}

}  // namespace outcrop::release
