#include "trainer_host/cli/bench_output.hpp"

#include <unistd.h>

#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

#include "platform/console/table.hpp"
#include "platform/console/terminal.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::cli {
namespace {

using runtime::TrialResult;
using Json = nlohmann::json;

constexpr const char* not_measured = "–";

std::string number(double value, const char* format = "%.2f") {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string megabytes(ByteCount bytes) {
  return number(static_cast<double>(bytes.value()) / 1e6, "%.1f");
}

std::string verdict(const TrialResult& result) {
  if (!result.outcome) return std::string(to_string(result.outcome.error().code()));
  if (!result.proof) return "not proved";
  return "ok";
}

std::string heading_of(const runtime::OutputError& output, const BenchSubject& subject) {
  const auto unit = subject.units.find(output.name);
  std::string heading = output.name + " against float";
  if (unit != subject.units.end() && !unit->second.empty()) heading += " (" + unit->second + ")";
  return heading;
}

// The outputs that any variant showed, in order, under their headings.
std::vector<std::string> error_headings(const runtime::Trial& trial, const BenchSubject& subject) {
  for (const TrialResult& result : trial.results) {
    if (!result.proof) continue;
    std::vector<std::string> headings;
    for (const auto& output : result.proof->outputs) {
      headings.push_back(heading_of(output, subject));
    }
    return headings;
  }
  return {};
}

std::vector<std::string> row_of(const TrialResult& result, const BenchSubject& subject,
                                std::size_t errors) {
  std::vector<std::string> row{result.name};
  const auto size = subject.sizes.find(result.name);
  row.push_back(size == subject.sizes.end() ? not_measured : megabytes(size->second));
  row.push_back(result.load ? number(result.load->load_time.count(), "%.1f") : not_measured);
  if (const auto& measured = result.measurement) {
    row.push_back(number(measured->first.count()));
    row.push_back(number(measured->steady.p50.count()));
    row.push_back(number(measured->steady.p90.count()));
    row.push_back(megabytes(measured->peak_memory));
  } else {
    row.insert(row.end(), 4, not_measured);
  }
  for (std::size_t i = 0; i < errors; ++i) {
    row.push_back(result.proof && i < result.proof->outputs.size()
                      ? number(result.proof->outputs[i].mean_abs_error, "%.3g")
                      : not_measured);
  }
  row.push_back(result.hello ? std::string(to_string(result.hello->confinement)) : not_measured);
  row.push_back(verdict(result));
  return row;
}

std::string trust_in_words(const BenchSubject& subject) {
  if (!subject.trust) return "NOT VERIFIED: no signature, no operator list, no golden outputs";
  return "verified from " + in_words(*subject.trust) +
         (subject.host_proof_skipped ? "; made with --skip-host-proof, for tests" : "");
}

// What limits the figures' worth, each thing once.
void print_notes(const runtime::Trial& trial) {
  std::set<std::string> said;
  const auto say = [&](const std::string& text) {
    if (!text.empty() && said.insert(text).second) std::printf("  %s\n", text.c_str());
  };
  for (const TrialResult& result : trial.results) {
    if (!result.outcome) say(result.name + ": " + result.outcome.error().message());
  }
  for (const TrialResult& result : trial.results) {
    if (!result.measurement) continue;
    for (const auto& reason : result.measurement->validity.void_because) {
      say(result.name + ": figures are void: " + reason);
    }
  }
  for (const TrialResult& result : trial.results) {
    if (!result.hello) continue;
    for (const auto& missing : result.hello->missing) say("confinement is reduced: " + missing);
  }
  say(trial.lock_note);
}

Json to_json(const TrialResult& result, const BenchSubject& subject) {
  Json json{{"name", result.name}, {"verdict", verdict(result)}};
  if (!result.outcome) json["reason"] = result.outcome.error().message();
  if (const auto size = subject.sizes.find(result.name); size != subject.sizes.end()) {
    json["size_bytes"] = size->second.value();
  }
  if (const auto& hello = result.hello) {
    json["engine"] = hello->engine;
    json["engine_version"] = hello->engine_version;
    json["confinement"] = to_string(hello->confinement);
    json["confinement_missing"] = hello->missing;
    json["start_ms"] = hello->start_time.count();
  }
  if (const auto& load = result.load) json["load_ms"] = load->load_time.count();
  if (const auto& proof = result.proof) {
    json["golden_calls"] = proof->calls;
    for (const auto& output : proof->outputs) {
      json["errors"][output.name] = {{"mean_abs", output.mean_abs_error},
                                     {"max_abs", output.max_abs_error}};
    }
  }
  if (const auto& measured = result.measurement) {
    const runtime::Latency& steady = measured->steady;
    json["first_ms"] = measured->first.count();
    json["calls"] = steady.calls;
    json["mean_ms"] = steady.mean.count();
    json["min_ms"] = steady.minimum.count();
    json["max_ms"] = steady.maximum.count();
    json["std_ms"] = steady.standard_deviation.count();
    json["p50_ms"] = steady.p50.count();
    json["p90_ms"] = steady.p90.count();
    json["p99_ms"] = steady.p99.count();
    json["peak_memory_bytes"] = measured->peak_memory.value();
    json["engine_memory_bytes"] = measured->engine_memory.value();
    json["valid"] = measured->validity.valid();
    json["void_because"] = measured->validity.void_because;
    json["unknown_conditions"] = measured->validity.unknown;
    if (measured->validity.other_load) json["other_load"] = *measured->validity.other_load;
  }
  return json;
}

}  // namespace

void print_trial(const runtime::Trial& trial, const BenchSubject& subject, bool json) {
  if (json) {
    Json out{{"subject", subject.title},
             {"verified", subject.trust.has_value()},
             {"trust_root", subject.trust ? to_json(*subject.trust) : Json(nullptr)},
             {"host_proof_skipped", subject.host_proof_skipped},
             {"method", subject.method},
             {"threads", subject.threads},
             {"lock_note", trial.lock_note},
             {"variants", Json::array()}};
    for (const TrialResult& result : trial.results) {
      out["variants"].push_back(to_json(result, subject));
    }
    std::printf("%s\n", json_text(out, 2).c_str());
    return;
  }
  const auto errors = error_headings(trial, subject);
  std::vector<std::string> headings{"variant", "MB",     "load ms", "first ms",
                                    "p50 ms",  "p90 ms", "peak MB"};
  headings.insert(headings.end(), errors.begin(), errors.end());
  headings.insert(headings.end(), {"confinement", "verdict"});
  Table table(headings);
  table.less_needed({"first ms", "load ms", "confinement"});
  for (const TrialResult& result : trial.results) {
    table.add_row(row_of(result, subject, errors.size()));
  }
  std::printf("%s: %s, %d thread%s\n%s\n\n%s", subject.title.c_str(), subject.method.c_str(),
              subject.threads, subject.threads == 1 ? "" : "s", trust_in_words(subject).c_str(),
              table.to_string(line_width(STDOUT_FILENO)).c_str());
  print_notes(trial);
}

}  // namespace outcrop::cli
