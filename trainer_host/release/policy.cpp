#include "trainer_host/release/policy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/release/earlier_outputs.hpp"

namespace outcrop::release {
namespace {

std::string number_text(double number) {
  return json_text(nlohmann::json(number));
}

constexpr double largest = 1e12;

OutputChanges read_output(platform::TomlReader::Table table) {
  const auto number = [&](const char* key) -> std::optional<double> {
    if (!table.has(key)) return std::nullopt;
    return table.number(key, 0.0, 0, largest);
  };
  OutputChanges output;
  if (table.has("unit")) output.unit = table.text("unit", "");
  if (output.unit && output.unit->size() > 64) {
    table.refuse("unit", "it must be a text of 1 to 64 bytes");
  }
  output.floor_mean_abs = number("floor_mean_abs");
  output.floor_max_abs = number("floor_max_abs");
  output.cap_mean_abs = number("cap_mean_abs");
  output.cap_max_abs = number("cap_max_abs");
  output.agreement_mean_abs = number("agreement_mean_abs");
  output.agreement_max_abs = number("agreement_max_abs");
  table.finish();
  return output;
}

// Of an output whose kind proposes nothing: shares of its range.
OutputPolicy of_range(const messages::TensorType& type) {
  const double span = type.range ? type.range->most - type.range->least : 0;
  return {type.unit,
          {5e-4 * span, 5e-3 * span},
          {3e-2 * span, 5e-1 * span},
          {5e-5 * span, 5e-3 * span}};
}

void change(OutputPolicy& output, const OutputChanges& changes) {
  output.unit = changes.unit.value_or(output.unit);
  output.floor = {changes.floor_mean_abs.value_or(output.floor.mean_abs),
                  changes.floor_max_abs.value_or(output.floor.max_abs)};
  output.cap = {changes.cap_mean_abs.value_or(output.cap.mean_abs),
                changes.cap_max_abs.value_or(output.cap.max_abs)};
  output.agreement = {changes.agreement_mean_abs.value_or(output.agreement.mean_abs),
                      changes.agreement_max_abs.value_or(output.agreement.max_abs)};
}

// What holds where the policy's file says nothing.
std::map<std::string, OutputPolicy> proposed(const messages::StageArtifact& artifact) {
  if (!artifact.signature) return earlier_outputs();
  std::map<std::string, OutputPolicy> outputs;
  for (const messages::Output& output :
       proved_outputs(*artifact.signature, artifact.golden_calls)) {
    const auto bounds = artifact.bounds.find(output.name);
    if (bounds != artifact.bounds.end()) {
      const auto& [floor, cap, agreement] = bounds->second;
      outputs[output.name] = {output.type.unit, floor, cap, agreement};
    } else if (output.type.range) {
      outputs[output.name] = of_range(output.type);
    }
  }
  return outputs;
}

Status check_named(const messages::StageArtifact& artifact, const std::string& name,
                   const OutputChanges& changes) {
  if (!artifact.signature) return {};
  std::string known;
  for (const messages::Output& output :
       proved_outputs(*artifact.signature, artifact.golden_calls)) {
    known += (known.empty() ? "" : ", ") + output.name;
    if (output.name != name) continue;
    if (!changes.unit || *changes.unit == output.type.unit) return {};
    return fail(ErrorCode::invalid_argument, "the policy's [output." + name + "] has the unit \"" +
                                                 *changes.unit + "\", and the model gives \"" +
                                                 output.type.unit + "\"");
  }
  return fail(ErrorCode::invalid_argument, "the policy has a section [output." + name +
                                               "], and the model has no such output: it has " +
                                               known);
}

Status check_order(const std::string& name, const char* key, double floor, double cap) {
  if (floor <= cap) return {};
  return fail(ErrorCode::invalid_argument,
              "policy, output." + name + ".floor_" + key + ": " + number_text(floor) +
                  " is above its cap, cap_" + key + " = " + number_text(cap));
}

Result<const OutputPolicy*> policy_of(const Policy& policy, const std::string& variant,
                                      const std::string& output) {
  const auto found = policy.outputs.find(output);
  if (found == policy.outputs.end()) {
    return fail(ErrorCode::refused, "variant " + variant + ": the policy has no section [output." +
                                        output + "] that says how large its error may be");
  }
  return &found->second;
}

Result<messages::ShownError> shown_of(const ShownErrors& shown, const std::string& variant,
                                      const std::string& output, std::string_view who) {
  const auto found = shown.find(output);
  if (found == shown.end() || !std::isfinite(found->second.mean_abs) ||
      !std::isfinite(found->second.max_abs)) {
    return fail(ErrorCode::refused, "variant " + variant + ": " + std::string(who) +
                                        " shows no error for the output '" + output + "'");
  }
  return found->second;
}

Status under_cap(const std::string& what, double shown, double factor, double cap,
                 const std::string& unit) {
  if (shown * factor <= cap) return {};
  return fail(ErrorCode::refused,
              what + " is " + number_text(shown) + " " + unit + ", and with the factor " +
                  number_text(factor) + " above the policy's cap of " + number_text(cap) + " " +
                  unit);
}

Status close_enough(const std::string& what, double quantizer, double runner, double allowed) {
  if (std::abs(quantizer - runner) <= allowed) return {};
  return fail(ErrorCode::refused, what + ": the runner sees " + number_text(runner) +
                                      ", the quantizer recorded " + number_text(quantizer) +
                                      ": the file is not what was quantized");
}

}  // namespace

Result<Policy> read_policy(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, platform::TomlReader::open(file));
  platform::TomlReader::Table top = reader.root();
  Policy policy;
  policy.expires = std::chrono::days(top.integer("expires_days", policy.expires.count(), 1, 36500));
  policy.factor = top.number("factor", policy.factor, 1, 100);
  policy.agreement = top.number("agreement", policy.agreement, 0, 1);
  policy.minimum_quality = top.number("minimum_quality", policy.minimum_quality,
                                      -std::numeric_limits<double>::infinity(), 0.999);
  policy.most_spread = top.number("most_spread", policy.most_spread, 1, 1000);
  platform::TomlReader::Table outputs = top.table("output");
  for (const std::string& name : outputs.table_names()) {
    policy.changes[name] = read_output(outputs.table(name));
  }
  outputs.finish("each output has a section of its own, [output.NAME]");
  top.finish();
  OUTCROP_CHECK(reader.status());
  return policy;
}

Result<Policy> policy_for(const messages::StageArtifact& artifact, Policy policy) {
  policy.outputs = proposed(artifact);
  for (const auto& [name, changes] : policy.changes) {
    OUTCROP_CHECK(check_named(artifact, name, changes));
    OutputPolicy& output = policy.outputs[name];
    change(output, changes);
    OUTCROP_CHECK(check_order(name, "mean_abs", output.floor.mean_abs, output.cap.mean_abs));
    OUTCROP_CHECK(check_order(name, "max_abs", output.floor.max_abs, output.cap.max_abs));
  }
  return policy;
}

std::string describe(const Policy& policy) {
  nlohmann::json json{{"expires_days", policy.expires.count()},
                      {"factor", policy.factor},
                      {"agreement", policy.agreement},
                      {"output", nlohmann::json::object()}};
  const Policy otherwise;
  if (policy.minimum_quality != otherwise.minimum_quality) {
    json["minimum_quality"] = policy.minimum_quality;  // null for -inf
  }
  if (policy.most_spread != otherwise.most_spread) json["most_spread"] = policy.most_spread;
  const auto bounds = [](const ErrorBounds& b) {
    return nlohmann::json::array({b.mean_abs, b.max_abs});
  };
  for (const auto& [name, output] : policy.outputs) {
    json["output"][name] = {{"unit", output.unit},
                            {"floor", bounds(output.floor)},
                            {"cap", bounds(output.cap)},
                            {"agreement", bounds(output.agreement)}};
  }
  return json_text(json);
}

Result<std::vector<messages::OutputTolerance>> make_tolerances(
    const Policy& policy, const std::string& variant,
    const std::vector<messages::Output>& outputs, const ShownErrors& shown) {
  std::vector<messages::OutputTolerance> tolerances;
  for (const messages::Output& output : outputs) {
    OUTCROP_TRY(bounds, policy_of(policy, variant, output.name));
    OUTCROP_TRY(error, shown_of(shown, variant, output.name, "the host proof"));
    const std::string what = "variant " + variant + ": the " + output.name;
    OUTCROP_CHECK(under_cap(what + " error (mean)", error.mean_abs, policy.factor,
                            bounds->cap.mean_abs, bounds->unit));
    OUTCROP_CHECK(under_cap(what + " error (largest)", error.max_abs, policy.factor,
                            bounds->cap.max_abs, bounds->unit));
    tolerances.push_back({output.name,
                          std::max(bounds->floor.mean_abs, policy.factor * error.mean_abs),
                          std::max(bounds->floor.max_abs, policy.factor * error.max_abs)});
  }
  return tolerances;
}

Status check_agreement(const Policy& policy, const std::string& variant,
                       const ShownErrors& by_quantizer, const ShownErrors& by_runner) {
  for (const auto& [output, recorded] : by_quantizer) {
    OUTCROP_TRY(bounds, policy_of(policy, variant, output));
    OUTCROP_TRY(seen, shown_of(by_runner, variant, output, "the runner"));
    const std::string what = "variant " + variant + ", " + output;
    OUTCROP_CHECK(close_enough(what + " (mean)", recorded.mean_abs, seen.mean_abs,
                               policy.agreement * recorded.mean_abs + bounds->agreement.mean_abs));
    OUTCROP_CHECK(close_enough(what + " (largest)", recorded.max_abs, seen.max_abs,
                               policy.agreement * recorded.max_abs + bounds->agreement.max_abs));
  }
  return {};
}

}  // namespace outcrop::release
