#include "trainer_host/cli/bench.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "platform/console/step_progress.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"
#include "runtime/runner/trial.hpp"
#include "trainer_host/cli/bench_output.hpp"
#include "trainer_host/cli/trust_options.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct BenchOptions {
  fs::path subject;
  TrustOptions trust;
  std::vector<std::string> variants;
  std::string backend = "qnnpack";
  bool unverified = false;
  bool allow_reduced = false;
  std::string runner;
  int threads = 1;
  std::size_t calls = 100;
  double seconds = 5;
  bool json = false;
};

// What is tried, with the blobs that the candidates point to.
struct Prepared {
  std::vector<trust::VerifiedBlob> blobs;
  std::vector<runtime::Candidate> candidates;
  runtime::TrialOptions trial;
  BenchSubject subject;
};

Result<std::vector<runtime::Tensor>> read_golden(const release::VerifiedRelease& release,
                                                 const messages::BlobReference& reference) {
  OUTCROP_TRY(blob, release.blob(reference));
  return runtime::decode_tensor_file(blob.bytes());
}

runtime::Candidate candidate_of(const messages::Variant& variant, int threads) {
  runtime::Candidate candidate;
  candidate.name = variant.name;
  candidate.load.backend = variant.backend;
  candidate.load.threads = threads;
  candidate.load.allowed_operators = variant.operators;
  candidate.load.expected_methods = variant.methods;
  for (const messages::OutputTolerance& tolerance : variant.tolerance) {
    candidate.tolerances.push_back({tolerance.output, tolerance.mean_abs, tolerance.max_abs});
  }
  return candidate;
}

Status check_asked_variants(const messages::Manifest& manifest,
                            const std::vector<std::string>& asked) {
  for (const std::string& name : asked) {
    if (manifest.variant(name) != nullptr) continue;
    std::string known;
    for (const auto& variant : manifest.variants) {
      known += (known.empty() ? "" : ", ") + variant.name;
    }
    return fail(ErrorCode::invalid_argument,
                "the release has no variant '" + name + "'; it has " + known);
  }
  return {};
}

Result<Prepared> prepare_release(const BenchOptions& options) {
  OUTCROP_TRY(anchor, read_trust(options.trust));
  OUTCROP_TRY(release,
              release::open_release(options.subject, anchor.root, SystemClock(), {anchor.revoked}));
  const messages::Manifest& manifest = release.manifest();
  OUTCROP_CHECK(check_asked_variants(manifest, options.variants));
  Prepared prepared;
  OUTCROP_TRY(inputs, read_golden(release, manifest.golden.input));
  OUTCROP_TRY(outputs, read_golden(release, manifest.golden.output));
  OUTCROP_TRY(goldens, runtime::proof_calls(manifest.signature, manifest.golden.calls, inputs,
                                            outputs));
  prepared.subject.method = goldens.front().method;
  prepared.trial.goldens = std::move(goldens);
  for (const messages::Variant& variant : manifest.variants) {
    if (!options.variants.empty() && std::find(options.variants.begin(), options.variants.end(),
                                               variant.name) == options.variants.end()) {
      continue;
    }
    if (variant.engine != "torch") {
      return fail(ErrorCode::unsupported, "variant '" + variant.name + "' needs the engine '" +
                                              variant.engine + "'; this build runs torch");
    }
    OUTCROP_TRY(blob, release.blob(variant.blob));
    prepared.blobs.push_back(std::move(blob));
    prepared.candidates.push_back(candidate_of(variant, options.threads));
    prepared.subject.sizes[variant.name] = variant.blob.size;
  }
  for (const messages::Output& output : manifest.outputs()) {
    prepared.subject.units[output.name] = output.type.unit;
  }
  prepared.subject.title = manifest.model + " stage " + std::to_string(manifest.stage);
  prepared.subject.trust = anchor.source;
  prepared.subject.host_proof_skipped = manifest.host_proof_skipped;
  return prepared;
}

Result<Prepared> prepare_file(const BenchOptions& options) {
  if (!options.unverified) {
    return fail(ErrorCode::invalid_argument,
                options.subject.string() +
                    " is a file, not a release: nothing says who made it, and loading a model "
                    "runs its code. Say --unverified to run it, confined, all the same");
  }
  OUTCROP_TRY(digest, trust::sha256_file(options.subject));
  std::error_code error;
  const auto size = fs::file_size(options.subject, error);
  if (error) return fail(ErrorCode::io, options.subject.string() + ": " + error.message());
  OUTCROP_TRY(blob, trust::verify_blob(options.subject, digest, ByteCount(size)));
  Prepared prepared;
  runtime::Candidate candidate;
  candidate.name = options.subject.filename().string();
  candidate.load.backend = options.backend;
  candidate.load.threads = options.threads;
  candidate.allow_all_operators = true;
  prepared.subject.sizes[candidate.name] = ByteCount(size);
  prepared.blobs.push_back(std::move(blob));
  prepared.candidates.push_back(std::move(candidate));
  prepared.trial.measured = runtime::MeasuredCall{"forward", {std::int64_t{1}}};
  prepared.subject.method = "forward";
  prepared.subject.title = options.subject.string();
  return prepared;
}

Status run_bench(const BenchOptions& options) {
  std::error_code error;
  const bool is_file = fs::is_regular_file(options.subject, error);
  auto made = is_file ? prepare_file(options) : prepare_release(options);
  if (!made) return fail(std::move(made).error());
  Prepared prepared = std::move(*made);
  for (std::size_t i = 0; i < prepared.blobs.size(); ++i) {
    prepared.candidates[i].blob = &prepared.blobs[i];
  }
  prepared.subject.threads = options.threads;
  prepared.trial.calls = options.calls;
  prepared.trial.time =
      std::chrono::milliseconds(static_cast<std::int64_t>(options.seconds * 1000));
  if (!options.runner.empty()) {
    prepared.trial.runner.program = std::filesystem::absolute(options.runner);
  }
  if (options.allow_reduced) {
    prepared.trial.runner.confinement = runtime::Confinement::reduced;
  }
  const StepProgress progress("bench");
  prepared.trial.progress = progress;
  prepared.trial.waits = [progress](const std::string& why) {
    progress.finish();
    std::fprintf(stderr, "outcrop: waits: %s\n", why.c_str());
  };
  auto trial = runtime::try_candidates(prepared.candidates, prepared.trial);
  progress.finish();
  if (!trial) return fail(std::move(trial).error());
  print_trial(*trial, prepared.subject, options.json);
  for (const runtime::TrialResult& result : trial->results) {
    if (result.outcome) continue;
    return fail(ErrorCode::refused, "variant '" + result.name + "' did not pass");
  }
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* bench = app.add_subcommand(
      "bench", "Prove a release's variants here and measure them in the confined runner");
  bench->add_option("release", options->subject, "Release folder, or a .ptl file with --unverified")
      ->required()
      ->check(CLI::ExistingPath);
  bench->add_option("--variant", options->variants,
                    "Only this variant, e.g. int8-qint8; may be given more than once");
  add_trust_options(*bench, options->trust);
  bench->add_option("--threads", options->threads, "Threads of the model")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  bench->add_option("--calls", options->calls, "Steady calls of each variant, in four turns")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  bench->add_option("--seconds", options->seconds, "Time for these calls; whichever ends first")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  bench->add_flag("--unverified", options->unverified,
                  "Run a bare .ptl file that nobody signed: forward(1), measured, not proved; numbers\n"
                  "that are not finite are an error");
  bench->add_option("--backend", options->backend, "Kernels for a bare file: qnnpack or onednn")
      ->capture_default_str();
  bench->add_flag("--allow-reduced-confinement", options->allow_reduced,
                  "Run even where this machine cannot confine the runner fully");
  bench->add_option("--runner", options->runner,
                    "Another runner than the one beside this program: a board's, under an emulator")
      ->check(CLI::ExistingFile);
  bench->add_flag("--json", options->json, "Print a JSON object instead of a table");
  bench->footer(
      "Times are of the first golden call, which is of what boards serve, wall-clock, by the runner;\n"
      "percentiles are measured values (nearest rank). Error is the mean absolute one against the\n"
      "float model's golden outputs, the worst of all calls. Peak memory includes the engine.\n\n"
      "Examples:\n  outcrop bench release-1 --keys keys --variant int8-qint8 --json\n"
      "  outcrop bench release-1 --keys keys --calls 2 --allow-reduced-confinement \\\n"
      "    --runner build/rpi-aarch64/emulated/bin/outcrop-runner-torch");
  bench->callback([options, &chosen] { chosen = [options] { return run_bench(*options); }; });
}

}  // namespace outcrop::cli
