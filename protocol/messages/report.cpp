#include "protocol/messages/report.hpp"

#include <array>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::array<std::string_view, 5> outcomes{"measured", "not-measured", "not-measurable",
                                                   "refused", "failed"};
constexpr int backends_since = 2;   // the protocol whose reports tell of backends
constexpr int incumbent_since = 6;  // ... and of what served before
constexpr std::size_t most_backends = 16;
constexpr std::size_t most_backend_operators = 64;
constexpr double longest_ms = 1e12;
constexpr std::uint64_t longest_age = 100ULL * 366 * 24 * 3600;

Json measurement_to_json(const ReportedMeasurement& m) {
  return {{"load_ms", m.load_ms},
          {"first_ms", m.first_ms},
          {"calls", m.calls},
          {"mean_ms", m.mean_ms},
          {"min_ms", m.min_ms},
          {"max_ms", m.max_ms},
          {"std_ms", m.std_ms},
          {"p50_ms", m.p50_ms},
          {"p90_ms", m.p90_ms},
          {"p99_ms", m.p99_ms},
          {"peak_memory", m.peak_memory.value()},
          {"engine_memory", m.engine_memory.value()},
          {"void_because", m.void_because},
          {"unknown", m.unknown}};
}

ReportedMeasurement read_measurement(ObjectReader reader) {
  const auto milliseconds = [&](std::string_view key) { return reader.number(key, 0, longest_ms); };
  ReportedMeasurement m;
  m.load_ms = milliseconds("load_ms");
  m.first_ms = milliseconds("first_ms");
  m.calls = reader.integer("calls", 1);
  m.mean_ms = milliseconds("mean_ms");
  m.min_ms = milliseconds("min_ms");
  m.max_ms = milliseconds("max_ms");
  m.std_ms = milliseconds("std_ms");
  m.p50_ms = milliseconds("p50_ms");
  m.p90_ms = milliseconds("p90_ms");
  m.p99_ms = milliseconds("p99_ms");
  m.peak_memory = reader.size("peak_memory");
  m.engine_memory = reader.size("engine_memory");
  m.void_because = reader.texts("void_because", 32, longest_reason);
  m.unknown = reader.texts("unknown", 32, longest_reason);
  reader.done();
  return m;
}

Json variant_to_json(const ReportedVariant& variant) {
  Json proof = Json::array();
  for (const OutputDistance& distance : variant.proof) {
    proof.push_back({{"output", distance.output},
                     {"mean_abs", distance.mean_abs},
                     {"max_abs", distance.max_abs}});
  }
  return {{"name", variant.name},
          {"outcome", to_string(variant.outcome)},
          {"reason", variant.reason},
          {"proof", proof},
          {"measurement",
           variant.measurement ? measurement_to_json(*variant.measurement) : Json(nullptr)}};
}

ReportedVariant read_reported_variant(ObjectReader& reader) {
  ReportedVariant variant;
  variant.name = reader.name("name");
  variant.outcome = static_cast<VariantOutcome>(reader.choice(
      "outcome", {"measured", "not-measured", "not-measurable", "refused", "failed"}));
  variant.reason = reader.text("reason", longest_reason);
  reader.objects("proof", 0, 16, [&](ObjectReader& element) {
    OutputDistance distance;
    distance.output = element.text("output");
    distance.mean_abs = element.number("mean_abs", 0, 1e30);
    distance.max_abs = element.number("max_abs", 0, 1e30);
    element.done();
    variant.proof.push_back(std::move(distance));
  });
  if (!reader.null("measurement")) {
    variant.measurement = read_measurement(reader.object("measurement"));
  }
  reader.done();
  return variant;
}

}  // namespace

std::string_view to_string(VariantOutcome outcome) {
  return outcomes[static_cast<std::size_t>(outcome)];
}

std::string to_json(const Report& report) {
  Json json = header_to_json(report.header, "report");
  add_deployment(json, report.deployment);
  json["state"] = to_string(report.state);
  json["reason"] = report.reason;
  json["device_class"] = report.device_class;
  json["agent"] = report.agent;
  json["engine"] = {{"name", report.engine}, {"version", report.engine_version}};
  if (report.header.protocol >= backends_since) {
    json["engine"]["backends"] = Json::array();
    for (const ReportedBackend& backend : report.backends) {
      json["engine"]["backends"].push_back({{"name", backend.name}, {"failed", backend.failed}});
    }
  }
  json["confinement"] = {{"level", report.full_confinement ? "full" : "reduced"},
                         {"missing", report.confinement_missing}};
  json["metadata_age_seconds"] = report.metadata_age.count();
  json["active"] = {{"manifest", digest_or_empty(report.active_manifest)},
                    {"variant", report.active_variant}};
  json["variants"] = Json::array();
  for (const ReportedVariant& variant : report.variants) {
    json["variants"].push_back(variant_to_json(variant));
  }
  if (report.header.protocol >= incumbent_since) {
    json["incumbent"] = nullptr;
    if (report.incumbent) {
      json["incumbent"] = {{"manifest", report.incumbent->manifest.hex()},
                           {"variant", variant_to_json(report.incumbent->variant)}};
    }
  }
  return json_text(json);
}

std::optional<Slowdown> slowdown(const Report& report) {
  const auto counting = [](const ReportedVariant& variant) -> const ReportedMeasurement* {
    const auto& measurement = variant.measurement;
    const bool counts = variant.outcome == VariantOutcome::measured && measurement && measurement->void_because.empty() &&
                        measurement->p90_ms > 0 && measurement->p50_ms > 0;
    return counts ? &*measurement : nullptr;
  };
  if (!report.incumbent || report.incumbent->manifest == report.deployment.manifest) return std::nullopt;
  const ReportedMeasurement* before = counting(report.incumbent->variant);
  const bool serves = report.active_manifest == report.deployment.manifest;
  const ReportedMeasurement* now = nullptr;
  std::size_t measured = 0;
  for (const ReportedVariant& variant : report.variants) {
    const ReportedMeasurement* of_this = counting(variant);
    if (of_this == nullptr || (serves && variant.name != report.active_variant)) continue;
    now = of_this;
    ++measured;
  }
  if (before == nullptr || measured != 1) return std::nullopt;
  return Slowdown{now->p90_ms / before->p90_ms, now->p50_ms / before->p50_ms};
}

Result<Report> parse_report(BytesView payload) {
  OUTCROP_TRY(json, parse_object(as_text(payload), report_limit, "report"));
  OUTCROP_CHECK(check_type(json, "report", "protocol"));
  ObjectReader reader(json, "report");
  Report report;
  report.header = read_header(reader, "report");
  report.deployment = read_deployment(reader);
  report.state = read_state(reader);
  report.reason = reader.text("reason", longest_reason);
  report.device_class = reader.name("device_class");
  report.agent = reader.text("agent", 32);
  ObjectReader engine = reader.object("engine");
  report.engine = engine.name("name");
  report.engine_version = engine.text("version");
  if (report.header.protocol >= backends_since) {
    engine.objects("backends", 0, most_backends, [&](ObjectReader& backend) {
      report.backends.push_back({backend.name("name"), backend.texts("failed", most_backend_operators)});
      backend.done();
    });
  }
  engine.done();
  ObjectReader confinement = reader.object("confinement");
  report.full_confinement = confinement.choice("level", {"full", "reduced"}) == 0;
  report.confinement_missing = confinement.texts("missing", 32, longest_reason);
  confinement.done();
  report.metadata_age =
      std::chrono::seconds(reader.integer("metadata_age_seconds", 0, longest_age));
  ObjectReader active = reader.object("active");
  report.active_manifest = active.digest_or_empty("manifest");
  report.active_variant = active.name_or_empty("variant");
  active.done();
  reader.objects("variants", 0, 16,
                 [&](ObjectReader& element) { report.variants.push_back(read_reported_variant(element)); });
  if (report.header.protocol >= incumbent_since && !reader.null("incumbent")) {
    ObjectReader incumbent = reader.object("incumbent");
    ReportedIncumbent before{incumbent.digest("manifest"), {}};
    ObjectReader variant = incumbent.object("variant");
    before.variant = read_reported_variant(variant);
    incumbent.done();
    report.incumbent = std::move(before);
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return report;
}

}  // namespace outcrop::messages
