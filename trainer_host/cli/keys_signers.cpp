#include "trainer_host/cli/keys_signers.hpp"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/keys_request.hpp"
#include "trainer_host/cli/whole_id.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/role_change.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct SignersOptions {
  fs::path folder;
  std::string role;
  std::string key;
  std::uint64_t threshold = 1;
  release::Missing missing = release::Missing::refuse;
  bool encrypted = false;
  bool json = false;
};
using Shared = std::shared_ptr<SignersOptions>;

nlohmann::json roles_in_json(const release::KeyStoreTrust& trust) {
  nlohmann::json roles = nlohmann::json::object();
  const auto add = [&](const std::string& role, const trust::RoleKeys& keys) {
    nlohmann::json ids = nlohmann::json::array();
    for (const trust::KeyId& id : keys.keyids) ids.push_back(id.hex());
    roles[role] = {{"threshold", keys.threshold}, {"keyids", ids}};
  };
  for (const auto& [role, keys] : trust.root->roles) add(role, keys);
  for (const trust::Delegation& delegation : trust.targets->delegations) {
    add(trust::stage_role(delegation.model), delegation.keys);
  }
  return roles;
}

Status run_show(const SignersOptions& options) {
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  const nlohmann::json roles = roles_in_json(trust);
  if (options.json) {
    const nlohmann::json json{{"root_version", trust.root->version},
                              {"root_sha256", trust.root.digest().hex()},
                              {"roles", roles},
                              {"waiting", release::waiting_requests(options.folder)}};
    std::printf("%s\n", json_text(json, 2).c_str());
    return {};
  }
  std::printf("root version %llu, sha256 %s\n", static_cast<unsigned long long>(trust.root->version),
              trust.root.digest().hex().c_str());
  for (const auto& [role, keys] : roles.items()) {
    std::printf("%-20s %llu of\n", role.c_str(), static_cast<unsigned long long>(keys.at("threshold").get<std::uint64_t>()));
    for (const auto& id : keys.at("keyids")) std::printf("  %s\n", id.get<std::string>().c_str());
  }
  say_waiting(options.folder);
  return {};
}

Status say_changed(const SignersOptions& options) {
  if (say_waiting(options.folder)) return {};
  std::printf("Signed. Hand it to outcropd:\n  outcrop keys publish --dir %s\n", options.folder.c_str());
  return {};
}

Status run_make_key(const SignersOptions& options) {
  OUTCROP_TRY(key, release::make_offline_key(options.key, options.encrypted));
  std::printf("Made %s, key id %s. Its public half, for outcrop keys add-key:\n  %s\n", options.key.c_str(),
              key.id().hex().c_str(), key.hex().c_str());
  return {};
}

Status run_add_key(const SignersOptions& options) {
  OUTCROP_TRY(key, release::read_public_key(options.key));
  OUTCROP_CHECK(release::add_key(options.folder, options.role, key, options.missing));
  return say_changed(options);
}

Status run_remove_key(const SignersOptions& options) {
  OUTCROP_TRY(trust, release::read_key_store(options.folder));
  const nlohmann::json roles = roles_in_json(trust);
  std::vector<std::string> all;
  if (const auto role = roles.find(options.role); role != roles.end()) all = role->at("keyids").get<std::vector<std::string>>();
  OUTCROP_TRY(id, whole_id(options.key, all, "a key id that outcrop keys show prints for " + options.role));
  OUTCROP_TRY(key, trust::KeyId::from_hex(id));
  OUTCROP_CHECK(release::remove_key(options.folder, options.role, key, options.missing));
  return say_changed(options);
}

Status run_threshold(const SignersOptions& options) {
  OUTCROP_CHECK(release::set_threshold(options.folder, options.role, options.threshold, options.missing));
  return say_changed(options);
}

CLI::App* add_verb(CLI::App& keys, const char* name, const char* does, Status (*run)(const SignersOptions&),
                   const Shared& options, Action& chosen) {
  CLI::App* verb = keys.add_subcommand(name, does);
  verb->callback([run, options, &chosen] { chosen = [run, options] { return run(*options); }; });
  return verb;
}

void add_role(CLI::App& verb, const Shared& options) {
  verb.add_option("role", options->role, "root, targets, revoked or stage-MODEL")->required();
}

void add_folder(CLI::App& verb, const Shared& options) {
  verb.add_option("--dir", options->folder, "Key folder")->required();
  add_request_option(verb, options->missing);
}

}  // namespace

void add_signers(CLI::App& keys, Action& chosen) {
  const auto options = [] { return std::make_shared<SignersOptions>(); };
  Shared shown = options();
  CLI::App* show = add_verb(keys, "show", "Each role's keys, how many must sign, and what waits for signatures", run_show, shown, chosen);
  show->add_option("--dir", shown->folder, "Key folder")->required();
  show->add_flag("--json", shown->json, "Print a JSON object instead of text");
  show->footer("Example:\n  outcrop keys show --dir keys");

  Shared made = options();
  CLI::App* make = add_verb(keys, "make-key", "Make a key for a person who is to sign for a role", run_make_key, made, chosen);
  make->add_option("file", made->key, "File to make; must not exist")->required();
  make->add_flag("--encrypt", made->encrypted, "Under a passphrase (outcrop keys encrypt --help)");
  make->footer("It never leaves its machine: only the public half, which is printed, goes to the key folder.\n"
               "Example:\n  outcrop keys make-key alice.key --encrypt");

  Shared added = options();
  CLI::App* add = add_verb(keys, "add-key", "Have a role accept a further key (root signs, for a stage targets)", run_add_key, added, chosen);
  add_role(*add, added);
  add->add_option("key", added->key, "Public half: 64 hexadecimal digits, a PEM file of the key, or its PKCS#11 URI")->required();
  add_folder(*add, added);
  add->footer("Example:\n  outcrop keys add-key root 3b6a…29 --dir keys");

  Shared removed = options();
  CLI::App* remove = add_verb(keys, "remove-key", "Have a role accept a key no more", run_remove_key, removed, chosen);
  add_role(*remove, removed);
  remove->add_option("keyid", removed->key, "Key id, as outcrop keys show prints it; its first digits, where they are only its own")->required();
  add_folder(*remove, removed);
  remove->footer("Example:\n  outcrop keys remove-key targets 4f2a8c --dir keys");

  Shared set = options();
  CLI::App* threshold = add_verb(keys, "threshold", "Say how many of its keys must sign for a role", run_threshold, set, chosen);
  add_role(*threshold, set);
  threshold->add_option("count", set->threshold, "How many, 1 to the number of its keys")->required()->check(CLI::Range(1, static_cast<int>(release::highest_threshold)));
  add_folder(*threshold, set);
  threshold->footer("What needs more signatures from then on is signed anew at once.\nExample:\n  outcrop keys threshold root 2 --dir keys");
}

}  // namespace outcrop::cli
