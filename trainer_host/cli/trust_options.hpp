#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "protocol/base/error.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::cli {

// --root FILE and --keys DIR: what the user trusts, for every verb that opens a release.
struct TrustOptions {
  std::filesystem::path root;
  std::filesystem::path keys;
};

void add_trust_options(CLI::App& verb, TrustOptions& options);

// The root that was trusted.
struct TrustSource {
  std::filesystem::path file;
  std::uint64_t version = 1;
  trust::Sha256Digest digest;
};
[[nodiscard]] std::string in_words(const TrustSource& source);  // "FILE (version 1, sha256 4f2a…)"
[[nodiscard]] nlohmann::json to_json(const TrustSource& source);

// Where verification starts, and where it came from.
struct TrustAnchor {
  trust::TrustedRoot root;
  // The key folder's revoked list: newer than what a release can know.
  std::optional<trust::Verified<trust::RevokedMetadata>> revoked;
  TrustSource source;
};

// --root, else the key folder of --keys, of OUTCROP_KEYS, or ./keys.
[[nodiscard]] Result<TrustAnchor> read_trust(const TrustOptions& options);

// The key folder that is meant where no root is named.
[[nodiscard]] std::filesystem::path key_folder(const TrustOptions& options);

// The models that the key folder of OUTCROP_KEYS, or ./keys, has stage keys for.
[[nodiscard]] Result<std::vector<std::string>> key_folder_models();

}  // namespace outcrop::cli
