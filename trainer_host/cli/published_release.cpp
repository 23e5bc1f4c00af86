#include "trainer_host/cli/published_release.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t digest_digits = 64;

std::string digest_of(const Json& release) {
  return release.at("manifest").get<std::string>();
}

// A folder holds the manifest under its digest: no signature is asked here, since what is found was
// verified when it was published.
Result<Json> by_folder(const Json& releases, const fs::path& folder) {
  for (const Json& release : releases) {
    std::error_code error;
    if (fs::exists(folder / "blobs" / digest_of(release), error)) return release;
  }
  return fail(ErrorCode::not_found, "outcropd does not have the release in " + folder.string() +
                                        "; outcrop release publish " + folder.string());
}

Result<Json> by_digest(const Json& releases, const std::string& start) {
  const bool hex =
      start.size() <= digest_digits && std::all_of(start.begin(), start.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      });
  if (!hex || start.empty()) {
    return fail(ErrorCode::invalid_argument,
                "'" + start + "' is neither a release folder nor the start of a manifest's digest");
  }
  std::vector<Json> found;
  for (const Json& release : releases) {
    if (digest_of(release).starts_with(start)) found.push_back(release);
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return fail(ErrorCode::not_found, "outcropd has no release whose manifest begins with " +
                                          start + " (outcrop release list)");
  }
  std::string all;
  for (const Json& release : found) all += " " + short_digest(digest_of(release));
  return fail(ErrorCode::invalid_argument,
              "several manifests begin with " + start + ":" + all + "; give more digits");
}

}  // namespace

Result<Json> find_release(const HostConnection& host, const std::string& name) {
  OUTCROP_TRY(answer, host.get_all("/v1/releases", "releases"));
  try {
    const Json& releases = answer.at("releases");
    std::error_code error;
    if (fs::is_directory(name, error)) return by_folder(releases, name);
    return by_digest(releases, name);
  } catch (const Json::exception& error) {
    return fail(ErrorCode::invalid_data,
                "outcropd's list of releases cannot be read: " + std::string(error.what()));
  }
}

}  // namespace outcrop::cli
