#include "trainer_host/cli/release_output.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

#include <nlohmann/json.hpp>

#include "platform/console/table.hpp"
#include "platform/console/terminal.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/release/quality_table.hpp"

namespace outcrop::cli {
namespace {

using Json = nlohmann::json;

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), value >= 1000 ? "%.0f" : "%.3g", value);  // no 2e+03
  return text.data();
}

std::string tolerance_text(const messages::OutputTolerance& tolerance,
                           const messages::Manifest& manifest) {
  std::string unit;
  for (const messages::Output& output : manifest.outputs()) {
    if (output.name == tolerance.output) unit = output.type.unit;
  }
  return short_number(tolerance.mean_abs) + " / " + short_number(tolerance.max_abs) + " " + unit;
}

// "2 calls of forward, 1 of decode; forward is measured".
std::string calls_in_words(const std::vector<messages::GoldenCall>& calls) {
  std::vector<std::pair<std::string, std::size_t>> counts;  // in the order of the calls
  for (const messages::GoldenCall& call : calls) {
    if (counts.empty() || counts.back().first != call.method) counts.emplace_back(call.method, 0);
    ++counts.back().second;
  }
  std::string text;
  for (const auto& [method, count] : counts) {
    text += text.empty() ? std::to_string(count) + (count == 1 ? " call of " : " calls of ")
                         : ", " + std::to_string(count) + " of ";
    text += method;
  }
  return text.empty() ? "none" : text + "; " + counts.front().first + " is measured";
}

void print_variants(const messages::Manifest& manifest) {
  std::vector<std::string> headings{"variant", "size", "memory", "engine", "operators"};
  for (const messages::Output& output : manifest.outputs()) {
    headings.push_back(output.name + " tolerance against float (mean / max)");
  }
  Table table(headings);
  table.less_needed({"operators", "engine"});
  for (const messages::Variant& variant : manifest.variants) {
    std::vector<std::string> row{variant.name, variant.blob.size.human(), variant.memory.human(),
                                 variant.engine + "/" + variant.backend,
                                 std::to_string(variant.operators.size())};
    for (const messages::OutputTolerance& tolerance : variant.tolerance) {
      row.push_back(tolerance_text(tolerance, manifest));
    }
    table.add_row(std::move(row));
  }
  std::printf("%s", table.to_string(line_width(STDOUT_FILENO)).c_str());
}

void print_manifest(const messages::Manifest& manifest,
                    const std::optional<messages::Quality>& quality) {
  Table facts({"field", "value"});
  facts.add_row({"model", manifest.model});
  facts.add_row({"stage", std::to_string(manifest.stage) + " (epoch " +
                              std::to_string(manifest.epoch) + ")"});
  facts.add_row({"lineage", manifest.lineage ? manifest.lineage->hex() : "first of its line"});
  facts.add_row({"data", manifest.data_digest.hex()});
  facts.add_row({"code", manifest.code_version});
  for (const auto& [name, text] : manifest.about) facts.add_row({name, text});
  for (const messages::Method& method : manifest.signature.methods) {
    facts.add_row({method.name == manifest.signature.served ? "serves" : "method",
                   describe(method)});
  }
  facts.add_row({"objective", std::string(to_string(manifest.objective))});
  for (const messages::Budget& budget : manifest.budgets) {
    facts.add_row({"budget " + budget.device_class, short_number(budget.p90_ms) + " ms p90, " +
                                                        short_number(budget.memory_mb) + " MB"});
  }
  facts.add_row({"golden", calls_in_words(manifest.golden.calls)});
  facts.add_row(
      {"host proof", manifest.host_proof_skipped ? "SKIPPED: outputs were not compared" : "done"});
  facts.add_row({"needs", "outcrop " + manifest.minimum_agent + ", protocol " +
                              std::to_string(manifest.minimum_protocol)});
  std::printf("%s\n", facts.to_string(line_width(STDOUT_FILENO)).c_str());
  std::printf("%s\n", quality ? release::quality_table(*quality, line_width(STDOUT_FILENO)).c_str()
                              : "How good the model is does not stand here.\n");
  print_variants(manifest);
}

Json manifest_json(const messages::Manifest& manifest) {
  return Json::parse(to_json(manifest));
}

Json quality_json(const std::optional<messages::Quality>& quality) {
  return quality ? Json::parse(messages::to_json(*quality)) : Json(nullptr);
}

Json left_out_json(const std::vector<release::LeftOut>& left_out) {
  Json list = Json::array();
  for (const release::LeftOut& one : left_out) {
    list.push_back({{"variant", one.variant}, {"reason", one.reason}});
  }
  return list;
}

}  // namespace

void print_created(const release::CreatedRelease& created, const std::filesystem::path& folder,
                   bool json) {
  if (json) {
    std::printf("%s\n",
                json_text(Json{{"folder", folder.string()},
                               {"manifest_sha256", created.manifest_digest.hex()},
                               {"existed", created.existed},
                               {"quality", quality_json(created.quality)},
                               {"left_out", left_out_json(created.left_out)},
                               {"manifest", manifest_json(created.manifest)}},
                          2)
                    .c_str());
    return;
  }
  std::printf("%s %s, manifest %s\n\n", folder.c_str(),
              created.existed ? "is this release already" : "made",
              created.manifest_digest.hex().c_str());
  print_manifest(created.manifest, created.quality);
  for (const release::LeftOut& one : created.left_out) {
    std::printf("left out: %s\n", one.reason.c_str());
  }
}

void print_release(const release::VerifiedRelease& release,
                   const std::optional<messages::Quality>& quality, const TrustSource& source,
                   bool json) {
  const auto& stage = release.stage();
  if (json) {
    std::printf("%s\n",
                json_text(Json{{"folder", release.folder().string()},
                               {"trust_root", to_json(source)},
                               {"manifest_sha256", release.manifest_digest().hex()},
                               {"signed_list_version", stage->version},
                               {"expires", to_rfc3339(stage->expires)},
                               {"quality", quality_json(quality)},
                               {"manifest", manifest_json(release.manifest())}},
                          2)
                    .c_str());
    return;
  }
  std::printf(
      "Release %s\nmanifest   %s\ntrust root %s\nsigned     list version %llu of %zu "
      "releases, valid until %s\n\n",
      release.folder().c_str(), release.manifest_digest().hex().c_str(), in_words(source).c_str(),
      static_cast<unsigned long long>(stage->version), stage->releases.size(),
      to_rfc3339(stage->expires).c_str());
  print_manifest(release.manifest(), quality);
}

void print_checks(const release::Checks& checks, const std::filesystem::path& folder,
                  const TrustSource& source, bool json) {
  if (json) {
    Json list = Json::array();
    bool good = true;
    for (const release::Check& check : checks) {
      good = good && check.status;
      list.push_back({{"check", check.what},
                      {"ok", check.status.has_value()},
                      {"error", check.status ? "" : check.status.error().message()}});
    }
    std::printf("%s\n",
                json_text(Json{{"folder", folder.string()},
                             {"trust_root", to_json(source)},
                             {"good", good},
                             {"checks", list}}, 2).c_str());
    return;
  }
  std::printf("Release %s\ntrust root %s\n\n", folder.c_str(), in_words(source).c_str());
  Table table({"check", "result", "why"});
  for (const release::Check& check : checks) {
    table.add_row({check.what, check.status ? "ok" : "FAILED",
                   check.status ? "" : check.status.error().message()});
  }
  std::printf("%s", table.to_string(line_width(STDOUT_FILENO)).c_str());
}

}  // namespace outcrop::cli
