#include "protocol/messages/manifest.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/earlier_golden.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::array<std::string_view, 4> objectives{"p50_ms", "p90_ms", "memory_mb", "error"};
constexpr std::size_t most_operators = 1024;
constexpr std::size_t longest_schema = 4096;

Json golden_to_json(const Manifest& manifest) {
  Json json{{"input", blob_to_json(manifest.golden.input)},
            {"output", blob_to_json(manifest.golden.output)}};
  if (manifest.minimum_protocol >= signature_since) {
    json["calls"] = calls_to_json(manifest.golden.calls);
  } else {
    json.update(rows_to_json(rows_of(manifest.signature, manifest.golden.calls)));
  }
  return json;
}

void read_golden(ObjectReader reader, Manifest& manifest) {
  manifest.golden.input = read_blob(reader.object("input"));
  manifest.golden.output = read_blob(reader.object("output"));
  if (manifest.minimum_protocol >= signature_since) {
    manifest.golden.calls = read_calls(reader, manifest.signature);
  } else {
    const RowsGolden rows = read_rows(reader);
    manifest.signature = signature_of(rows);
    manifest.golden.calls = calls_of(rows);
  }
  reader.done();
}

Json variant_to_json(const Variant& variant) {
  Json tolerance = Json::array();
  for (const OutputTolerance& output : variant.tolerance) {
    tolerance.push_back(
        {{"output", output.output}, {"mean_abs", output.mean_abs}, {"max_abs", output.max_abs}});
  }
  return {{"name", variant.name},
          {"blob", blob_to_json(variant.blob)},
          {"engine", variant.engine},
          {"backend", variant.backend},
          {"operators", variant.operators},
          {"methods", variant.methods},
          {"memory", variant.memory.value()},
          {"tolerance", tolerance}};
}

void read_tolerance(ObjectReader& reader, const std::vector<Output>& outputs, Variant& variant) {
  reader.objects("tolerance", outputs.size(), outputs.size(), [&](ObjectReader& element) {
    OutputTolerance tolerance;
    tolerance.output = element.text("output");
    tolerance.mean_abs = element.number("mean_abs", 0, 1e30);
    tolerance.max_abs = element.number("max_abs", 0, 1e30);
    element.done();
    const std::string& expected = outputs[variant.tolerance.size()].name;
    if (element.ok() && tolerance.output != expected) {
      element.refuse("output", "must be '" + expected + "': the golden outputs in their order");
    }
    variant.tolerance.push_back(std::move(tolerance));
  });
}

// What a file must have: every method of the signature; before there was one, the proved method.
std::vector<std::string> needed_methods(const Manifest& manifest) {
  if (manifest.golden.calls.empty()) return {};
  if (manifest.minimum_protocol < signature_since) return {manifest.golden.calls.front().method};
  std::vector<std::string> names;
  for (const Method& method : manifest.signature.methods) names.push_back(method.name);
  return names;
}

Variant read_variant(ObjectReader& reader, const Manifest& manifest,
                     const std::vector<Output>& outputs) {
  Variant variant;
  variant.name = reader.name("name");
  variant.blob = read_blob(reader.object("blob"));
  variant.engine = reader.name("engine");
  variant.backend = reader.name("backend");
  variant.operators = reader.texts("operators", most_operators);
  if (std::adjacent_find(variant.operators.begin(), variant.operators.end(),
                         std::greater_equal<>()) != variant.operators.end()) {
    reader.refuse("operators", "must be sorted, no two alike");
  }
  ObjectReader methods = reader.object("methods");
  for (const std::string& method : methods.keys(64)) {
    variant.methods[method] = methods.text(method, longest_schema);
  }
  for (const std::string& method : needed_methods(manifest)) {
    if (methods.ok() && !variant.methods.contains(method)) {
      methods.refuse(method, manifest.minimum_protocol >= signature_since
                                 ? "is missing: it is a method of the signature"
                                 : "is missing: it is the method that golden outputs belong to");
    }
  }
  variant.memory = reader.size("memory");
  read_tolerance(reader, outputs, variant);
  reader.done();
  return variant;
}

Status check_agent_version(const std::string& minimum) {
  OUTCROP_TRY(needed, parse_version(minimum));
  OUTCROP_TRY(own, parse_version(version()));
  if (needed > own) {
    return fail(ErrorCode::unsupported, "manifest: too new: it needs outcrop " + minimum +
                                            ", and this is " + std::string(version()));
  }
  return {};
}

void read_variants(ObjectReader& reader, Manifest& manifest) {
  std::set<std::string> names;
  const std::vector<Output> outputs = manifest.outputs();
  reader.objects("variants", 1, 16, [&](ObjectReader& element) {
    manifest.variants.push_back(read_variant(element, manifest, outputs));
    if (element.ok() && !names.insert(manifest.variants.back().name).second) {
      element.refuse("name", "stands twice among the variants");
    }
  });
}

}  // namespace

std::string_view to_string(Objective objective) {
  return objectives[static_cast<std::size_t>(objective)];
}

Result<Objective> objective_from(std::string_view text) {
  const auto found = std::find(objectives.begin(), objectives.end(), text);
  if (found == objectives.end()) {
    return fail(
        ErrorCode::invalid_argument,
        "'" + std::string(text) + "' is no objective: one of p50_ms, p90_ms, memory_mb, error is");
  }
  return static_cast<Objective>(found - objectives.begin());
}

std::vector<Output> Manifest::outputs() const {
  return proved_outputs(signature, golden.calls);
}

const Variant* Manifest::variant(std::string_view name) const {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&](const Variant& variant) { return variant.name == name; });
  return found == variants.end() ? nullptr : &*found;
}

std::string to_json(const Manifest& manifest) {
  Json variants = Json::array();
  for (const Variant& variant : manifest.variants) variants.push_back(variant_to_json(variant));
  Json json{{"type", "outcrop-manifest"},
                  {"minimum_protocol", manifest.minimum_protocol},
                  {"minimum_agent", manifest.minimum_agent},
                  {"model", manifest.model},
                  {"stage", manifest.stage},
                  {"epoch", manifest.epoch},
                  {"lineage", digest_or_empty(manifest.lineage)},
                  {"data_digest", manifest.data_digest.hex()},
                  {"code_version", manifest.code_version},
                  {"objective", to_string(manifest.objective)},
                  {"budgets", budgets_to_json(manifest.budgets)},
                  {"host_proof", manifest.host_proof_skipped ? "skipped" : "done"},
                  {"golden", golden_to_json(manifest)},
                  {"variants", variants}};
  if (manifest.minimum_protocol >= signature_since) {
    json["about"] = manifest.about;
    json["signature"] = signature_to_json(manifest.signature);
    if (manifest.quality) json["quality"] = quality_to_json(*manifest.quality);
  } else {
    json["latent"] = latent_of(manifest.about);
  }
  return json_text(json, 1);
}

Result<Manifest> parse_manifest(const trust::VerifiedBlob& blob) {
  OUTCROP_TRY(json, parse_object(as_text(blob.bytes()), manifest_limit, "manifest"));
  OUTCROP_CHECK(check_type(json, "outcrop-manifest", "minimum_protocol"));
  ObjectReader reader(json, "manifest");
  Manifest manifest;
  reader.constant("type", "outcrop-manifest");
  manifest.minimum_protocol = static_cast<int>(reader.integer("minimum_protocol", 1));
  manifest.minimum_agent = reader.text("minimum_agent", 32);
  OUTCROP_CHECK(reader.status());
  OUTCROP_CHECK(check_agent_version(manifest.minimum_agent));
  manifest.model = reader.name("model");
  manifest.stage = reader.integer("stage", 1);
  manifest.epoch = reader.integer("epoch", 1);
  manifest.lineage = reader.digest_or_empty("lineage");
  manifest.data_digest = reader.digest("data_digest");
  manifest.code_version = reader.text("code_version");
  if (manifest.minimum_protocol >= signature_since) {
    manifest.about = read_about(reader.object("about"));
    manifest.signature = read_signature(reader.object("signature"));
    if (reader.has("quality")) manifest.quality = read_quality(reader.object("quality"));
  } else {
    manifest.about["latent"] = reader.text("latent");
  }
  manifest.objective = static_cast<Objective>(
      reader.choice("objective", {"p50_ms", "p90_ms", "memory_mb", "error"}));
  manifest.budgets = read_budgets(reader);
  manifest.host_proof_skipped = reader.choice("host_proof", {"done", "skipped"}) == 1;
  read_golden(reader.object("golden"), manifest);
  read_variants(reader, manifest);
  reader.done();
  OUTCROP_CHECK(reader.status());
  return manifest;
}

Result<std::vector<std::uint64_t>> parse_version(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (numbers.size() < 3) {
    std::uint64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number > 1'000'000) break;
    numbers.push_back(number);
    at = next;
    if (numbers.size() < 3 && (at == end || *at++ != '.')) break;
  }
  if (numbers.size() != 3 || at != end) {
    return fail(ErrorCode::invalid_data, "'" + std::string(text) + "' is not a version like 0.1.0");
  }
  return numbers;
}

}  // namespace outcrop::messages
