#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/quality.hpp"
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

// A variant that the release goes without, and why.
struct LeftOut {
  std::string variant;
  std::string reason;
};

struct CreatedRelease {
  trust::Sha256Digest manifest_digest;
  messages::Manifest manifest;
  std::optional<messages::Quality> quality;  // of the float model; none from older versions
  std::vector<LeftOut> left_out;
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
// A variant whose error is above the policy's cap, or that the runner cannot run (crashed, refused,
// unsupported), is left out, and the release says which and why; not so the float one, by which all
// others are judged. What could not be tried for want of time, memory or disk is an error.
//
// Errors: untrusted where a file is not the one that artifact.json describes; refused where the
// model is not good enough (quality.hpp), where no variant passes, and where one shows other errors
// than the quantizer recorded (the file is not what was quantized: no release at all);
// already_exists where the folder holds anything else; no_space with nothing half-made left;
// those of the key store and of the prover.
[[nodiscard]] Result<CreatedRelease> create_release(const CreateRequest& request,
                                                    const HostProver& prover, const Clock& clock,
                                                    const CreateProgress& progress = {});

}  // namespace outcrop::release
