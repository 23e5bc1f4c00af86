#include "trainer_host/cli/keys.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/clock.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/keys_request.hpp"
#include "trainer_host/cli/keys_rotate.hpp"
#include "trainer_host/cli/keys_signers.hpp"
#include "trainer_host/cli/publish.hpp"
#include "trainer_host/cli/whole_id.hpp"
#include "trainer_host/release/delegate.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/sign_documents.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct InitOptions {
  fs::path folder;
  std::vector<std::string> models;
  int expires_days = 365;
  int root_expires_days = 5 * 365;
  std::string root_key;
  std::string targets_key;
  bool json = false;
};

void print_init(const InitOptions& options, const release::KeyStoreTrust& trust) {
  const std::string folder = options.folder.string();
  if (options.json) {
    nlohmann::json json{{"folder", folder},
                        {"root_sha256", trust.root.digest().hex()},
                        {"root_expires", to_rfc3339(trust.root->expires)},
                        {"targets_expires", to_rfc3339(trust.targets->expires)},
                        {"models", options.models}};
    std::printf("%s\n", json_text(json, 2).c_str());
    return;
  }
  std::printf("Made the keys in %s:\n", folder.c_str());
  std::printf(
      "  offline/   root.key and targets.key. Move this folder to a medium that you keep\n"
      "             apart, and make a copy: whoever has these keys decides what your\n"
      "             boards run, and without them no key can be replaced or revoked.\n");
  std::printf("  online/    timestamp.key, snapshot.key and director.key, for the host's daemon\n");
  for (const std::string& model : options.models) {
    std::printf("  stages/%s/stage.key, for the trainer: signs stages of '%s', nothing else\n",
                model.c_str(), model.c_str());
  }
  std::printf("  metadata/  public; every release carries it\n\n");
  std::printf("Trust root  metadata/1.root.json, sha256 %s\n", trust.root.digest().hex().c_str());
  std::printf("Valid until %s (root), %s (targets, revoked; outcrop keys renew)\n",
              to_rfc3339(trust.root->expires).c_str(), to_rfc3339(trust.targets->expires).c_str());
}

Status run_init(const InitOptions& options) {
  release::KeyStoreOptions store;
  store.models = options.models;
  store.root_key = options.root_key;
  store.targets_key = options.targets_key;
  store.targets_expires = std::chrono::days(options.expires_days);
  store.root_expires = std::chrono::days(options.root_expires_days);
  OUTCROP_CHECK(release::init_key_store(options.folder, store, SystemClock().now()));
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  print_init(options, trust);
  return {};
}

void add_init(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* init = keys.add_subcommand("init", "Make the keys that releases are signed with");
  init->add_option("--dir", options->folder, "Folder to make; must not exist or be empty")
      ->required();
  init->add_option("--model", options->models,
                   "Model that stages will be signed for; once for each model")
      ->required();
  init->add_option("--expires-days", options->expires_days,
                   "Days that targets and the revoked list are valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  init->add_option("--root-expires-days", options->root_expires_days, "Days that the root is valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  init->add_option("--root-key", options->root_key, "PKCS#11 URI of a token's Ed25519 key for root; default: a file is made");
  init->add_option("--targets-key", options->targets_key, "The same for targets and the revoked list");
  init->add_flag("--json", options->json, "Print a JSON object instead of text");
  init->footer(
      "A token's PIN is asked for on the terminal, or read from the file that pin-source names in the URI.\n"
      "Examples:\n  outcrop keys init --dir keys --model curvefault\n"
      "  outcrop keys init --dir keys --model curvefault --root-key 'pkcs11:token=root;object=root'");
  init->callback([options, &chosen] { chosen = [options] { return run_init(*options); }; });
}

struct RenewOptions {
  fs::path folder;
  int expires_days = 365;
  release::Missing missing = release::Missing::refuse;
};

void add_renew(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<RenewOptions>();
  CLI::App* renew = keys.add_subcommand(
      "renew", "Sign targets and the revoked list anew before they expire (needs offline/)");
  renew->add_option("--dir", options->folder, "Key folder")->required();
  renew->add_option("--expires-days", options->expires_days, "Days that they are valid from now")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_request_option(*renew, options->missing);
  renew->footer("Example:\n  outcrop keys renew --dir keys");
  renew->callback([options, &chosen] {
    chosen = [options]() -> Status {
      OUTCROP_CHECK(release::renew_targets(
          options->folder, std::chrono::days(options->expires_days), SystemClock().now(), options->missing));
      if (say_waiting(options->folder)) return {};
      OUTCROP_TRY(trust, release::read_key_store(options->folder));
      std::printf("targets version %llu, valid until %s\n",
                  static_cast<unsigned long long>(trust.targets->version),
                  to_rfc3339(trust.targets->expires).c_str());
      return {};
    };
  });
}

struct AddModelOptions {
  fs::path folder;
  std::vector<std::string> models;
  int expires_days = 365;
  release::Missing missing = release::Missing::refuse;
  bool json = false;
};

Status run_add_model(const AddModelOptions& options) {
  OUTCROP_CHECK(release::add_models(options.folder, options.models, std::chrono::days(options.expires_days),
                                    SystemClock().now(), options.missing));
  if (say_waiting(options.folder)) return {};
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  const std::string folder = options.folder.string();
  if (options.json) {
    const nlohmann::json json{{"folder", folder},
                              {"targets_version", trust.targets->version},
                              {"targets_expires", to_rfc3339(trust.targets->expires)},
                              {"added", options.models}};
    std::printf("%s\n", json_text(json, 2).c_str());
    return {};
  }
  for (const std::string& model : options.models) {
    std::printf("Made %s/stages/%s/stage.key, for the trainer: signs stages of '%s', nothing else\n",
                folder.c_str(), model.c_str(), model.c_str());
  }
  std::printf("targets version %llu, valid until %s. Hand it to outcropd, and boards may be enrolled:\n",
              static_cast<unsigned long long>(trust.targets->version),
              to_rfc3339(trust.targets->expires).c_str());
  std::printf("  outcrop keys publish --dir %s\n", folder.c_str());
  std::printf("  outcrop device enroll NAME --class CLASS --model %s\n",
              options.models.front().c_str());
  return {};
}

void add_add_model(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<AddModelOptions>();
  CLI::App* add = keys.add_subcommand(
      "add-model", "Make stage keys for further models (needs offline/); boards trust the same root");
  add->add_option("model", options->models, "Model that stages will be signed for")->required();
  add->add_option("--dir", options->folder, "Key folder")->required();
  add->add_option("--expires-days", options->expires_days, "Days that the new targets are valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_request_option(*add, options->missing);
  add->add_flag("--json", options->json, "Print a JSON object instead of text");
  add->footer("Example:\n  outcrop keys add-model --dir keys flatvel");
  add->callback([options, &chosen] { chosen = [options] { return run_add_model(*options); }; });
}

struct DelegateOptions {
  fs::path folder;
  std::string model;
  int expires_days = 365;
  release::Missing missing = release::Missing::refuse;
};

Status run_delegate(const DelegateOptions& options) {
  OUTCROP_CHECK(release::delegate_anew(options.folder, options.model,
                                       std::chrono::days(options.expires_days),
                                       SystemClock().now(), options.missing));
  if (say_waiting(options.folder)) return {};
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  const std::string folder = options.folder.string();
  std::printf("Made %s/stages/%s/stage.key: from targets version %llu on it alone signs stages of '%s'.\n"
              "Give it to the trainer, and hand the rest to outcropd:\n  outcrop keys publish --dir %s\n",
              folder.c_str(), options.model.c_str(),
              static_cast<unsigned long long>(trust.targets->version), options.model.c_str(),
              folder.c_str());
  return {};
}

void add_delegate(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<DelegateOptions>();
  CLI::App* delegate = keys.add_subcommand(
      "delegate", "Give a model another stage key, after one was stolen or lost (needs offline/)");
  delegate->add_option("model", options->model, "Model that stages are signed for")->required();
  delegate->add_option("--dir", options->folder, "Key folder")->required();
  delegate->add_option("--expires-days", options->expires_days, "Days that the new targets are valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_request_option(*delegate, options->missing);
  delegate->footer(
      "Revoke the old key first (outcrop keys revoke --stage-key). What this folder has signed is "
      "signed\nanew; what a thief signed beside it counts no more.\n"
      "Example:\n  outcrop keys delegate curvefault --dir keys");
  delegate->callback([options, &chosen] { chosen = [options] { return run_delegate(*options); }; });
}

struct KeyRevokeOptions {
  fs::path folder;
  std::string manifest;
  std::string key;
  std::string reason;
  int expires_days = 365;
  release::Missing missing = release::Missing::refuse;
};

// What this folder has signed, or lets sign: what else is to be revoked is named whole.
Result<std::string> named_to_revoke(const KeyRevokeOptions& options) {
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  std::vector<std::string> keys;
  std::vector<std::string> manifests;
  for (const trust::Delegation& delegation : trust.targets->delegations) {
    for (const trust::KeyId& id : delegation.keys.keyids) keys.push_back(id.hex());
    const auto list = release::read_signed_list(options.folder, delegation.model, trust);
    if (!list || !*list) continue;
    for (const trust::PermittedRelease& release : (*list)->metadata->releases) manifests.push_back(release.manifest.hex());
  }
  if (options.manifest.empty()) return whole_id(options.key, keys, "the id of a stage key (outcrop keys show)");
  return whole_id(options.manifest, manifests, "the digest of a release's manifest");
}

Status run_key_revoke(const KeyRevokeOptions& options) {
  const Timestamp now = SystemClock().now();
  OUTCROP_TRY(id, named_to_revoke(options));
  OUTCROP_TRY(what, trust::Sha256Digest::from_hex(id));
  const trust::Revocation entry{what, options.reason, now};
  const std::chrono::days expires(options.expires_days);
  OUTCROP_CHECK(options.manifest.empty()
                    ? release::revoke_key(options.folder, entry, expires, now, options.missing)
                    : release::revoke_manifest(options.folder, entry, expires, now, options.missing));
  if (say_waiting(options.folder)) return {};
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  std::printf("revoked list version %llu: %s, %s\n", static_cast<unsigned long long>(trust.revoked->version),
              counted(trust.revoked->manifests.size(), "release").c_str(), counted(trust.revoked->keys.size(), "key").c_str());
  return {};
}

void add_key_revoke(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<KeyRevokeOptions>();
  CLI::App* revoke = keys.add_subcommand(
      "revoke", "Put a release or a stage key on the revoked list for good (needs offline/)");
  revoke->add_option("--dir", options->folder, "Key folder")->required();
  auto* what = revoke->add_option_group("what");
  what->add_option("--manifest", options->manifest, "SHA-256 of the release's manifest, or its first digits");
  what->add_option("--stage-key", options->key, "Key id of a stage key, or its first digits");
  what->require_option(1);
  revoke->add_option("--reason", options->reason, "Why: shown wherever it is refused")->required();
  revoke->add_option("--expires-days", options->expires_days, "Days that the new list is valid")
      ->capture_default_str()
      ->check(CLI::Range(1, 36500));
  add_request_option(*revoke, options->missing);
  revoke->footer(
      "Example:\n  outcrop keys revoke --dir keys --manifest 4f2a8c --reason \"trained on bad "
      "data\"");
  revoke->callback([options, &chosen] { chosen = [options] { return run_key_revoke(*options); }; });
}

Status run_encrypt(const fs::path& folder) {
  OUTCROP_TRY(files, release::encrypt_offline_keys(folder));
  for (const fs::path& file : files) std::printf("%s is encrypted\n", file.c_str());
  std::printf("What the medium held before may still be read from it: overwrite what is free, or copy to a new one.\n");
  return {};
}

void add_encrypt(CLI::App& keys, Action& chosen) {
  auto folder = std::make_shared<fs::path>();
  CLI::App* encrypt = keys.add_subcommand("encrypt", "Encrypt the offline keys under a passphrase, or under another (needs offline/)");
  encrypt->add_option("--dir", *folder, "Key folder")->required();
  encrypt->footer(
      "Every verb that needs them asks for it on the terminal; where there is none, the first line of the file that\n"
      "OUTCROP_PASSPHRASE_FILE names is taken. A new one has 8 characters at least.\nExample:\n  outcrop keys encrypt --dir keys");
  encrypt->callback([folder, &chosen] { chosen = [folder] { return run_encrypt(*folder); }; });
}

struct PassOnOptions {
  fs::path folder;
  fs::path host;
  bool json = false;
};

Status run_key_publish(const PassOnOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_CHECK(sign_above_seen(host, options.folder, std::nullopt));
  OUTCROP_TRY(metadata, key_folder_metadata(options.folder, std::nullopt));
  OUTCROP_TRY(answer, host.post("/v1/metadata", metadata));
  OUTCROP_CHECK(check_taken(answer, options.folder));
  if (const auto waiting = release::waiting_requests(options.folder); !waiting.empty()) {
    return fail(ErrorCode::refused, "all that is signed was handed over, but " + waiting.front());
  }
  if (options.json) {
    std::printf("%s\n", json_text(answer, 2).c_str());
  } else {
    std::printf("outcropd has all that %s has signed, and tells the boards.\n",
                options.folder.c_str());
  }
  return {};
}

void add_key_publish(CLI::App& keys, Action& chosen) {
  auto options = std::make_shared<PassOnOptions>();
  CLI::App* publish = keys.add_subcommand(
      "publish", "Hand outcropd what was signed: roots, targets, the revoked list, releases");
  publish->add_option("--dir", options->folder, "Key folder")->required();
  add_host_option(*publish, options->host);
  publish->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  publish->footer(
      "After keys renew, revoke or rotate. No key leaves the folder.\n"
      "Example:\n  outcrop keys publish --dir keys");
  publish->callback([options, &chosen] { chosen = [options] { return run_key_publish(*options); }; });
}

}  // namespace

void add_keys(CLI::App& app, Action& chosen) {
  CLI::App* keys = app.add_subcommand(
      "keys", "Make, add, renew, revoke and rotate signing keys, say how many must sign, publish what they signed");
  keys->require_subcommand(1);
  add_init(*keys, chosen);
  add_add_model(*keys, chosen);
  add_delegate(*keys, chosen);
  add_renew(*keys, chosen);
  add_key_revoke(*keys, chosen);
  add_rotate(*keys, chosen);
  add_signers(*keys, chosen);
  add_signing(*keys, chosen);
  add_encrypt(*keys, chosen);
  add_key_publish(*keys, chosen);
}

}  // namespace outcrop::cli
