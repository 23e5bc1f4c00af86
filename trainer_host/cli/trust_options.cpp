#include "trainer_host/cli/trust_options.hpp"

#include <cstdlib>
#include <utility>

#include "trainer_host/release/key_store.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

TrustSource source_of(const fs::path& file, const trust::TrustedRoot& root) {
  return {file, root->version, root.digest()};
}

fs::path default_keys() {
  const char* named = std::getenv("OUTCROP_KEYS");
  return named != nullptr && *named != '\0' ? named : "keys";
}

}  // namespace

std::string in_words(const TrustSource& source) {
  return source.file.string() + " (version " + std::to_string(source.version) + ", sha256 " +
         source.digest.short_hex() + "…)";
}

nlohmann::json to_json(const TrustSource& source) {
  return {{"file", source.file.string()},
          {"version", source.version},
          {"sha256", source.digest.hex()}};
}

void add_trust_options(CLI::App& verb, TrustOptions& options) {
  auto* root = verb.add_option("--root", options.root,
                               "Root metadata to trust, e.g. keys/metadata/1.root.json");
  verb.add_option("--keys", options.keys,
                  "Key folder whose root and revoked list to trust; default: $OUTCROP_KEYS, "
                  "else ./keys")
      ->excludes(root);
}

fs::path key_folder(const TrustOptions& options) {
  return options.keys.empty() ? default_keys() : options.keys;
}

Result<TrustAnchor> read_trust(const TrustOptions& options) {
  if (!options.root.empty()) {
    OUTCROP_TRY(root, release::pin_root_file(options.root));
    TrustSource source = source_of(options.root, root);
    return TrustAnchor{std::move(root), std::nullopt, std::move(source)};
  }
  const fs::path keys = key_folder(options);
  auto store = release::read_key_store(keys);
  if (!store) {
    if (!options.keys.empty()) return fail(std::move(store).error());
    return fail(store.error().context(
        "nothing says whom to trust (--root FILE, --keys DIR, OUTCROP_KEYS or ./keys)"));
  }
  const fs::path file = keys / "metadata" / release::root_file_name(store->root->version);
  TrustSource source = source_of(file, store->root);
  return TrustAnchor{std::move(store->root), std::move(store->revoked), std::move(source)};
}

Result<std::vector<std::string>> key_folder_models() {
  OUTCROP_TRY(store, release::read_key_store(default_keys()));
  std::vector<std::string> models;
  for (const trust::Delegation& delegation : store.targets->delegations) {
    models.push_back(delegation.model);
  }
  return models;
}

}  // namespace outcrop::cli
