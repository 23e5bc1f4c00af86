#include "trainer_host/release/policy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include <toml++/toml.h>
#include <nlohmann/json.hpp>

namespace outcrop::release {
namespace {

std::string number_text(double number) {
  return nlohmann::json(number).dump();
}

// Reads one table; the first thing that is wrong is kept.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string section, std::string file, Status& failure)
      : table_(table), section_(std::move(section)), file_(std::move(file)), failure_(failure) {}

  void number(std::string_view key, double least, double most, double& value) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto found = node->value<double>();
    if (!node->is_number() || !found || !(*found >= least && *found <= most)) {
      refuse(*node, key,
             "must be a number from " + number_text(least) + " to " + number_text(most));
      return;
    }
    value = *found;
  }

  void text(std::string_view key, std::string& value) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    const auto* found = node->as_string();
    if (found == nullptr || found->get().empty() || found->get().size() > 64) {
      refuse(*node, key, "must be a text of 1 to 64 bytes");
      return;
    }
    value = found->get();
  }

  const toml::table* table(std::string_view key) {
    const toml::node* node = find(key);
    if (node != nullptr && !node->is_table()) refuse(*node, key, "must be a table");
    return node == nullptr ? nullptr : node->as_table();
  }

  void done() {
    for (const auto& [key, node] : table_) {
      if (!read_.contains(std::string(key.str()))) {
        std::string known;
        for (const std::string& name : read_) known += (known.empty() ? "" : ", ") + name;
        refuse(node, key.str(), "is an unknown key; known here: " + known);
      }
    }
  }

 private:
  const toml::node* find(std::string_view key) {
    read_.emplace(key);
    return table_.get(key);
  }

  void refuse(const toml::node& node, std::string_view key, const std::string& why) {
    if (!failure_) return;
    failure_ =
        fail(ErrorCode::invalid_argument, file_ + ":" + std::to_string(node.source().begin.line) +
                                              ": " + section_ + std::string(key) + " " + why);
  }

  const toml::table& table_;
  std::string section_;
  std::string file_;
  Status& failure_;
  std::set<std::string> read_;
};

constexpr double largest = 1e12;

void read_output(TableReader& reader, OutputPolicy& output) {
  reader.text("unit", output.unit);
  reader.number("floor_mean_abs", 0, largest, output.floor.mean_abs);
  reader.number("floor_max_abs", 0, largest, output.floor.max_abs);
  reader.number("cap_mean_abs", 0, largest, output.cap.mean_abs);
  reader.number("cap_max_abs", 0, largest, output.cap.max_abs);
  reader.number("agreement_mean_abs", 0, largest, output.agreement.mean_abs);
  reader.number("agreement_max_abs", 0, largest, output.agreement.max_abs);
  reader.done();
}

Status read_tables(const toml::table& document, const std::string& file, Policy& policy) {
  Status failure;
  TableReader top(document, "", file, failure);
  double expires = static_cast<double>(policy.expires.count());
  top.number("expires_days", 1, 36500, expires);
  policy.expires = std::chrono::days(std::llround(std::floor(expires)));
  top.number("factor", 1, 100, policy.factor);
  top.number("agreement", 0, 1, policy.agreement);
  if (const toml::table* outputs = top.table("output")) {
    for (const auto& [name, node] : *outputs) {
      const std::string section = "output." + std::string(name.str());
      const toml::table* table = node.as_table();
      if (table == nullptr) {
        return fail(ErrorCode::invalid_argument, file + ":" +
                                                     std::to_string(node.source().begin.line) +
                                                     ": " + section + " must be a table");
      }
      TableReader reader(*table, section + ".", file, failure);
      read_output(reader, policy.outputs[std::string(name.str())]);
    }
  }
  top.done();
  OUTCROP_CHECK(failure);
  for (const auto& [name, output] : policy.outputs) {
    if (output.floor.mean_abs > output.cap.mean_abs || output.floor.max_abs > output.cap.max_abs) {
      return fail(ErrorCode::invalid_argument,
                  file + ": output." + name + " has a floor above its cap");
    }
  }
  return {};
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
                  unit + "; retrain or quantize it better, or drop the variant");
}

Status close_enough(const std::string& what, double quantizer, double runner, double allowed) {
  if (std::abs(quantizer - runner) <= allowed) return {};
  return fail(ErrorCode::refused, what + ": the runner sees " + number_text(runner) +
                                      ", the quantizer recorded " + number_text(quantizer) +
                                      ": the file is not what was quantized");
}

}  // namespace

Result<Policy> read_policy(const std::filesystem::path& file) {
  Policy policy;
  try {
    const toml::table document = toml::parse_file(file.string());
    OUTCROP_CHECK(read_tables(document, file.string(), policy));
  } catch (const toml::parse_error& error) {
    return fail(ErrorCode::invalid_argument, file.string() + ":" +
                                                 std::to_string(error.source().begin.line) + ": " +
                                                 std::string(error.description()));
  }
  return policy;
}

std::string describe(const Policy& policy) {
  nlohmann::json json{{"expires_days", policy.expires.count()},
                      {"factor", policy.factor},
                      {"agreement", policy.agreement},
                      {"output", nlohmann::json::object()}};
  const auto bounds = [](const ErrorBounds& b) {
    return nlohmann::json::array({b.mean_abs, b.max_abs});
  };
  for (const auto& [name, output] : policy.outputs) {
    json["output"][name] = {{"unit", output.unit},
                            {"floor", bounds(output.floor)},
                            {"cap", bounds(output.cap)},
                            {"agreement", bounds(output.agreement)}};
  }
  return json.dump();
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
