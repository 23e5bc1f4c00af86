#include "trainer_host/release/policy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::release {
namespace {

std::string number_text(double number) {
  return json_text(nlohmann::json(number));
}

constexpr double largest = 1e12;

OutputPolicy read_output(platform::TomlReader::Table table, const OutputPolicy& otherwise) {
  const auto bounds = [&](const std::string& kind, const ErrorBounds& fallback) {
    return ErrorBounds{table.number(kind + "_mean_abs", fallback.mean_abs, 0, largest),
                       table.number(kind + "_max_abs", fallback.max_abs, 0, largest)};
  };
  OutputPolicy output;
  output.unit = table.text("unit", otherwise.unit);
  if (output.unit.size() > 64) table.refuse("unit", "it must be a text of 1 to 64 bytes");
  output.floor = bounds("floor", otherwise.floor);
  output.cap = bounds("cap", otherwise.cap);
  output.agreement = bounds("agreement", otherwise.agreement);
  table.finish();
  if (output.floor.mean_abs > output.cap.mean_abs) {
    table.refuse("floor_mean_abs", "is above its cap, cap_mean_abs");
  }
  if (output.floor.max_abs > output.cap.max_abs) {
    table.refuse("floor_max_abs", "is above its cap, cap_max_abs");
  }
  return output;
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
    policy.outputs[name] = read_output(outputs.table(name), policy.outputs[name]);
  }
  outputs.finish("each output has a section of its own, [output.NAME]");
  top.finish();
  OUTCROP_CHECK(reader.status());
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
    const std::vector<messages::TensorSchema>& outputs, const ShownErrors& shown) {
  std::vector<messages::OutputTolerance> tolerances;
  for (const messages::TensorSchema& output : outputs) {
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
