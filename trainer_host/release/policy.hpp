#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/manifest.hpp"

namespace outcrop::release {

// Bounds for the error of one output, in that output's unit. `mean_abs` is the mean absolute
// difference from the float model over a whole output, `max_abs` its largest element.
struct ErrorBounds {
  double mean_abs = 0;
  double max_abs = 0;
};

struct OutputPolicy {
  std::string unit;
  ErrorBounds floor;      // a tolerance is never tighter: other processors round differently
  ErrorBounds cap;        // nor looser: a variant above it is left out
  ErrorBounds agreement;  // the runner and the quantizer may differ by this much and `agreement`
};

// What a release may be: read from a TOML file, or the defaults, which suit OpenFWI's ranges
// (velocity 1500..4500 m/s, pressure about -27..53):
//
//   expires_days = 365          # the signed list of releases; from 1 to 36500
//   factor = 1.5                # tolerance = max(floor, factor * what the variant showed here)
//   agreement = 0.02            # share by which runner and quantizer may differ
//   minimum_quality = 0.0       # share of the RMSE of the mean of the training data that the model
//                               # must save in every output; 0: better than that mean, -inf:
//                               # release whatever came out
//   most_spread = 2.0           # how many times as far from that mean as training data lie what
//                               # the model draws may lie (root mean square)
//   [output.velocity]
//   unit = "m/s"
//   floor_mean_abs = 1.5        # 0.05 % of the range
//   floor_max_abs = 15.0
//   cap_mean_abs = 90.0         # 3 % of the range
//   cap_max_abs = 1500.0
//   agreement_mean_abs = 0.15
//   agreement_max_abs = 15.0
//
// A file may name some keys only: the others keep their defaults. An output without a section
// cannot be released.
struct Policy {
  std::chrono::days expires{365};
  double factor = 1.5;
  double agreement = 0.02;
  double minimum_quality = 0.0;
  double most_spread = 2.0;
  std::map<std::string, OutputPolicy> outputs = {
      {"velocity", {"m/s", {1.5, 15.0}, {90.0, 1500.0}, {0.15, 15.0}}},
      {"seismic", {"pressure", {0.04, 0.4}, {1.0, 40.0}, {0.004, 0.4}}},
  };
};

// Errors name file, line, key and what would be right.
[[nodiscard]] Result<Policy> read_policy(const std::filesystem::path& file);

// Every value of a policy in one line of text: part of what makes two releases the same. What
// earlier versions did not know stands there only where it is not the default, so that they and
// this one recognise the same release.
[[nodiscard]] std::string describe(const Policy& policy);

using ShownErrors = std::map<std::string, messages::ShownError>;

// The tolerances of a variant from what it showed, in the order of the golden outputs. Errors:
// refused where factor * shown is above the cap, or an output has no policy.
[[nodiscard]] Result<std::vector<messages::OutputTolerance>> make_tolerances(
    const Policy& policy, const std::string& variant,
    const std::vector<messages::TensorSchema>& outputs, const ShownErrors& shown);

// refused where the runner saw other errors than the quantizer recorded: the file is not what
// was quantized, or it does not run as it did.
[[nodiscard]] Status check_agreement(const Policy& policy, const std::string& variant,
                                     const ShownErrors& by_quantizer, const ShownErrors& by_runner);

}  // namespace outcrop::release
