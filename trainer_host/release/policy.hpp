#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::release {

// Bounds for the error of one output, in that output's unit. `mean_abs` is the mean absolute
// difference from the float model over a whole output, `max_abs` its largest element.
using ErrorBounds = messages::ShownError;

struct OutputPolicy {
  std::string unit;
  ErrorBounds floor;      // a tolerance is never tighter: other processors round differently
  ErrorBounds cap;        // nor looser: a variant above it is left out
  ErrorBounds agreement;  // the runner and the quantizer may differ by this much and `agreement`
};

// What a policy's file says of an output; nothing where it says nothing.
struct OutputChanges {
  std::optional<std::string> unit;
  std::optional<double> floor_mean_abs, floor_max_abs;
  std::optional<double> cap_mean_abs, cap_max_abs;
  std::optional<double> agreement_mean_abs, agreement_max_abs;
};

// What a release may be: read from a TOML file, or the defaults:
//
//   expires_days = 365          # the signed list of releases; from 1 to 36500
//   factor = 1.5                # tolerance = max(floor, factor * what the variant showed here)
//   agreement = 0.02            # share by which runner and quantizer may differ
//   minimum_quality = 0.0       # share of the RMSE of the mean of the training data that the model
//                               # must save in every output; 0: better than that mean, -inf:
//                               # release whatever came out
//   most_spread = 2.0           # how many times as far from that mean as training data lie what
//                               # the model draws may lie (root mean square)
//   [output.NAME]               # of the signature, in the output's unit
//   unit = "m/s"                # must be the signature's
//   floor_mean_abs = 1.5
//   floor_max_abs = 15.0
//   cap_mean_abs = 90.0
//   cap_max_abs = 1500.0
//   agreement_mean_abs = 0.15
//   agreement_max_abs = 15.0
//
// A file may name some keys only: the others keep their defaults, which for outputs are what the
// artifact proposes, or else shares of the range that the signature says. An output with neither
// cannot be released without a section.
struct Policy {
  std::chrono::days expires{365};
  double factor = 1.5;
  double agreement = 0.02;
  double minimum_quality = 0.0;
  double most_spread = 2.0;
  std::map<std::string, OutputChanges> changes;  // by output, from the file
  std::map<std::string, OutputPolicy> outputs;   // filled in by policy_for()
};

// The policy with what it says of every output of this artifact. invalid_argument where it names an
// output that there is not, another unit than the signature's, or a floor above its cap.
[[nodiscard]] Result<Policy> policy_for(const messages::StageArtifact& artifact, Policy policy);

// Errors name file, line, key and what would be right.
[[nodiscard]] Result<Policy> read_policy(const std::filesystem::path& file);

// Every value of a policy for an artifact in one line of text: part of what makes two releases the same. What
// earlier versions did not know stands there only where it is not the default, so that they and
// this one recognise the same release.
[[nodiscard]] std::string describe(const Policy& policy);

using ShownErrors = std::map<std::string, messages::ShownError>;

// The tolerances of a variant from what it showed, in the order of the proved outputs. Errors:
// refused where factor * shown is above the cap, or an output has no policy.
[[nodiscard]] Result<std::vector<messages::OutputTolerance>> make_tolerances(
    const Policy& policy, const std::string& variant,
    const std::vector<messages::Output>& outputs, const ShownErrors& shown);

// refused where the runner saw other errors than the quantizer recorded: the file is not what
// was quantized, or it does not run as it did.
[[nodiscard]] Status check_agreement(const Policy& policy, const std::string& variant,
                                     const ShownErrors& by_quantizer, const ShownErrors& by_runner);

}  // namespace outcrop::release
