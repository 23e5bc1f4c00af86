#include "trainer_host/cli/release_names.hpp"

#include <algorithm>

#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

constexpr std::size_t digits_that_tell_apart = 6;

}  // namespace

Result<ReleaseDetails> read_releases(const HostConnection& host) {
  OUTCROP_TRY(answer, host.get_all("/v1/releases", "releases"));
  ReleaseDetails releases;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    for (const Json& release : answer.at("releases")) {
      releases[release.at("manifest").get<std::string>()] = release;
    }
    return {};
  }));
  return releases;
}

std::string stage_of(const ReleaseDetails& releases, const std::string& manifest) {
  const auto found = releases.find(manifest);
  if (found == releases.end()) return short_digest(manifest);
  const Json& release = found->second;
  const bool alone = std::count_if(releases.begin(), releases.end(), [&](const auto& other) {
                       return other.second.value("model", "") == release.value("model", "") &&
                              other.second.at("stage") == release.at("stage");
                     }) == 1;
  std::string stage = std::to_string(release.at("stage").get<std::uint64_t>());
  return alone ? stage : stage + " (" + manifest.substr(0, digits_that_tell_apart) + ")";
}

std::string stage_in_words(const ReleaseDetails& releases, const std::string& manifest) {
  const std::string stage = stage_of(releases, manifest);
  return releases.contains(manifest) ? "stage " + stage : stage;
}

}  // namespace outcrop::cli
