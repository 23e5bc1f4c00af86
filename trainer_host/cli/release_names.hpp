#pragma once

#include <map>
#include <string>

#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// Releases by digest, each as GET /v1/releases, or GET /v1/releases/SHA with its manifest, describes
// it: people know them by model and stage.
using ReleaseDetails = std::map<std::string, Json>;

[[nodiscard]] Result<ReleaseDetails> read_releases(const HostConnection& host);

// "2"; "2 (4f2a91)" where another release of the model is of this stage, too; the start of the
// digest where outcropd does not know it. Throws as fleet_output.hpp does.
[[nodiscard]] std::string stage_of(const ReleaseDetails& releases, const std::string& manifest);

// "stage 2", and so on.
[[nodiscard]] std::string stage_in_words(const ReleaseDetails& releases,
                                         const std::string& manifest);

}  // namespace outcrop::cli
