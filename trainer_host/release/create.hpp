#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/release/host_proof.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

struct CreateRequest {
  std::filesystem::path artifact_folder;  // with artifact.json (protocol/messages/artifact.hpp)
  std::filesystem::path keys_folder;      // key_store.hpp; needs no offline keys
  std::filesystem::path out;              // the release folder to be made; must not exist
  Policy policy;
  // Do not compare outputs; the tolerance then comes from what the quantizer recorded, and the
  // manifest says so.
  bool skip_host_proof = false;
};

struct CreatedRelease {
  trust::Sha256Digest manifest_digest;
  messages::Manifest manifest;
  bool existed = false;  // the folder held this very release already
  // What a person should know: that this stage was signed before, and where its folder is.
  std::vector<std::string> notices;
};

// Called as work goes on: steps done, steps in all, what comes next.
using CreateProgress =
    std::function<void(std::size_t done, std::size_t total, const std::string& next)>;

// Makes a signed release from what a stage left. The folder appears whole under its name or not
// at all. May be killed at any point and called again: the same inputs give the same manifest
// and one entry in the signed list, and a folder that is complete already is recognised.
//
// Errors: untrusted where a file is not the one that artifact.json describes; refused where a
// variant's error is above the policy's cap or is not what the quantizer recorded;
// already_exists where the folder holds anything else; no_space with nothing half-made left;
// those of the key store and of the prover.
[[nodiscard]] Result<CreatedRelease> create_release(const CreateRequest& request,
                                                    const HostProver& prover, const Clock& clock,
                                                    const CreateProgress& progress = {});

}  // namespace outcrop::release
