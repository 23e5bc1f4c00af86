#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::cli {

// `outcrop release publish`: verifies a release folder as `outcrop release verify` does, uploads
// the blobs that outcropd does not have, and hands it the signed metadata.
struct PublishOptions {
  std::filesystem::path folder;
  TrustOptions trust;
  std::filesystem::path host;
  bool json = false;
};

// A release folder, verified from what is trusted on, blobs included.
[[nodiscard]] Result<release::VerifiedRelease> open_whole(const std::filesystem::path& folder, const TrustOptions& trust);

// May be cut off at any point and run again: uploads go on where they ended.
[[nodiscard]] Status run_publish(const PublishOptions& options);

// What a key folder has signed, as POST /v1/metadata takes it: every root, targets, the revoked
// list, and the lists of permitted releases: of all models, or of the one that is named.
[[nodiscard]] Result<Json> key_folder_metadata(const std::filesystem::path& keys,
                                               const std::optional<std::string>& only_model);

// Where boards have seen newer lists of releases than outcropd and this key folder have (an older backup of both came
// back), they take none below: signs the folder's anew above them, says so, and is to be called before the lists
// are handed over. refused where it cannot, with what would be right.
[[nodiscard]] Status sign_above_seen(const HostConnection& host, const std::filesystem::path& keys,
                                     const std::optional<std::string>& only_model);

// Whether outcropd took what it answered POST /v1/metadata about: refused, with what to do, where it
// has a newer document of a role whose name begins with `role` ("": any).
[[nodiscard]] Status check_taken(const Json& answer, const std::filesystem::path& keys,
                                 std::string_view role = "");

}  // namespace outcrop::cli
