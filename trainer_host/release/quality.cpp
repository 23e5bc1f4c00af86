#include "trainer_host/release/quality.hpp"

#include <cmath>

#include "protocol/base/number.hpp"

namespace outcrop::release {
namespace {

using messages::Quality;

std::string rounded(double value, const std::string& unit) {
  return write_number(value) + (unit.empty() ? "" : " " + unit);
}

constexpr const char* way_out =
    "; train on, or release it all the same by a policy (--policy FILE) that says "
    "minimum_quality = -inf";

// What "no error" means for an output: other processors round differently.
double floor_of(const Policy& policy, const std::string& output) {
  const auto found = policy.outputs.find(output);
  return found == policy.outputs.end() ? 0 : found->second.floor.mean_abs;
}

std::string unit_of(const Quality& quality, const std::string& output) {
  const auto found = quality.units.find(output);
  return found == quality.units.end() ? "" : found->second;
}

Status beats_the_mean(const Policy& policy, const Quality& quality) {
  const messages::ScoredModel& mean = *quality.baseline(messages::mean_baseline);
  for (const auto& [output, of_mean] : mean.outputs) {
    const auto score = quality.model.outputs.find(output);
    if (score == quality.model.outputs.end()) {
      return fail(ErrorCode::refused,
                  "variant " + quality.model.name + ": nothing says how good its " + output + " is");
    }
    // Both are there: parsing makes sure of it.
    const double error = *score->second.find(quality.judged_by);
    const double error_of_mean = *of_mean.find(quality.judged_by);
    const double allowed = (1 - policy.minimum_quality) * error_of_mean;
    const bool in_unit = messages::has_unit(quality.judged_by);
    if (error < allowed || (in_unit && error <= floor_of(policy, output))) continue;
    const std::string unit = in_unit ? unit_of(quality, output) : "";
    return fail(ErrorCode::refused,
                "variant " + quality.model.name + " is not good enough: over " +
                    std::to_string(quality.samples) +
                    (quality.held_out ? " held-out samples" : " training samples (none held out)") +
                    " the " + messages::shown_metric(quality.judged_by) + " of its " + output +
                    " is " + rounded(error, unit) + ", that of the " +
                    std::string(messages::mean_baseline) + " " + rounded(error_of_mean, unit) +
                    ", and minimum_quality " + rounded(policy.minimum_quality, "") +
                    " asks for less than " + rounded(allowed, unit) + way_out);
  }
  return {};
}

Status draws_what_it_learned(const Policy& policy, const Quality& quality) {
  for (const auto& [output, spread] : quality.spread) {
    const double allowed = policy.most_spread * spread.data;
    if (spread.drawn <= allowed || spread.drawn <= floor_of(policy, output)) continue;
    const std::string unit = unit_of(quality, output);
    return fail(ErrorCode::refused,
                "variant " + quality.model.name + " draws what its training data are not: the " +
                    output + " of " + std::to_string(quality.drawn) +
                    " drawn samples lies " + rounded(spread.drawn, unit) +
                    " (root mean square) from the " + std::string(messages::mean_baseline) +
                    ", the data's own " + rounded(spread.data, unit) + ", and most_spread " +
                    rounded(policy.most_spread, "") + " allows " + rounded(allowed, unit) + way_out);
  }
  return {};
}

}  // namespace

Status check_quality(const Policy& policy, const messages::StageArtifact& artifact) {
  if (std::isinf(policy.minimum_quality)) return {};
  if (!artifact.quality) {
    return fail(ErrorCode::refused,
                "artifact.json does not say how good the model is: it could not be measured, or an "
                "earlier version of outcrop left it. To release it unjudged, say minimum_quality = "
                "-inf in a policy (--policy FILE)");
  }
  OUTCROP_CHECK(beats_the_mean(policy, *artifact.quality));
  return draws_what_it_learned(policy, *artifact.quality);
}

}  // namespace outcrop::release
