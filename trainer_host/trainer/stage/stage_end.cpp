#include "trainer_host/trainer/stage/stage_end.hpp"

#include <cstdio>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/runner/runner.hpp"
#include "platform/console/step_progress.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/host_prover.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/stage_store.hpp"
#include "trainer_host/trainer/evaluate/charts.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

constexpr const char* latent_source = "gaussian fitted to the encoder's latents";

// Where one stage's results stand.
struct StagePaths {
  StagePaths(const train::TrainConfig& config, std::int64_t stage)
      : folder(config.train.out / ("stage" + std::to_string(stage))),
        making(config.train.out / (".stage" + std::to_string(stage) + ".making")),
        release(config.train.out / "releases" /
                (config.model.name + "-stage" + std::to_string(stage))) {}

  fs::path folder;
  fs::path making;
  fs::path release;
};

// The manifest that this one follows: that of the stage before, where it was released here. It
// may have expired or been revoked since: it stays the ancestor.
Result<std::optional<trust::Sha256Digest>> lineage_of(const train::TrainConfig& config,
                                                      std::int64_t stage) {
  const std::optional<trust::Sha256Digest> none;
  if (!config.release || stage == 1) return none;
  OUTCROP_TRY(keys, release::read_key_store(config.release->keys));
  OUTCROP_TRY(store, release::StageStore::open(config.release->keys, config.model.name, keys));
  OUTCROP_TRY(list, store.signed_list(keys));
  if (!list) return none;
  const fs::path blobs = StagePaths(config, stage - 1).release / "blobs";
  for (const trust::PermittedRelease& permitted : list->metadata->releases) {
    const bool of_stage_before = permitted.stage == static_cast<std::uint64_t>(stage - 1);
    if (of_stage_before && fs::exists(blobs / permitted.manifest.hex())) return permitted.manifest;
  }
  return none;
}

Result<messages::StageArtifact> describe(const train::StageContext& context,
                                         const quantize::ExportedStage& exported,
                                         const fs::path& folder) {
  const train::TrainConfig& config = context.config;
  messages::StageArtifact artifact;
  artifact.model = config.model.name;
  artifact.stage = static_cast<std::uint64_t>(context.stage);
  artifact.epoch = static_cast<std::uint64_t>(context.epoch);
  OUTCROP_TRY(lineage, lineage_of(config, context.stage));
  artifact.lineage = lineage;
  OUTCROP_TRY(data_digest, trust::Sha256Digest::from_hex(context.data_digest));
  artifact.data_digest = data_digest;
  artifact.code_version = code_version();
  artifact.latent = latent_source;
  if (config.release) {
    OUTCROP_TRY(objective, messages::objective_from(config.release->objective));
    artifact.objective = objective;
  }
  for (const auto& [device_class, budget] : config.budgets) {
    artifact.budgets.push_back({device_class, budget.p90_ms, budget.memory_mb});
  }
  OUTCROP_TRY(golden_input,
              messages::reference_file(folder, exported.golden_input.filename().string()));
  artifact.golden_input = golden_input;
  OUTCROP_TRY(golden_output,
              messages::reference_file(folder, exported.golden_output.filename().string()));
  artifact.golden_output = golden_output;
  for (const quantize::VariantFile& variant : exported.variants) {
    OUTCROP_TRY(file, messages::reference_file(folder, variant.file.filename().string()));
    const auto shown = [](const quantize::OutputError& error) {
      return messages::ShownError{error.mean_abs_error, error.max_abs_error};
    };
    artifact.variants.push_back(
        {variant.name,
         file,
         variant.engine,
         variant.backend,
         {{"velocity", shown(variant.velocity)}, {"seismic", shown(variant.seismic)}}});
  }
  return artifact;
}

// Times every variant by the confined runner and keeps a row for each.
Status measure(const train::StageContext& context, const quantize::ExportedStage& exported) {
  const StepProgress progress("measuring");
  quantize::MeasureOptions options;
  options.progress = progress;
  OUTCROP_TRY(rows, quantize::measure_performance(exported, context.config.model.name,
                                                  static_cast<int>(context.stage), options));
  progress.finish();
  OUTCROP_CHECK(quantize::update_performance_csv(
      context.config.train.out / "quantization_performance.csv", rows));
  std::fprintf(stderr, "%s", quantize::performance_table(rows).c_str());
  return {};
}

// Everything of the stage's folder, under a name that nobody takes for the stage.
Status fill_folder(const train::StageContext& context, const fs::path& folder) {
  std::fprintf(stderr, "Stage %ld ends: quantizing…\n", static_cast<long>(context.stage));
  OUTCROP_TRY(exported, quantize::export_variants(context.generator, context.prior, context.latents,
                                                  folder, context.config.model.name,
                                                  static_cast<int>(context.stage)));
  OUTCROP_CHECK(
      write_file_durably(folder / "quantization.json", quantize::exported_to_json(exported)));
  OUTCROP_CHECK(measure(context, exported));
  std::error_code error;
  fs::copy_file(context.weights, folder / context.weights.filename(), error);
  if (error) {
    return fail(ErrorCode::io, "copying " + context.weights.string() + ": " + error.message());
  }
  OUTCROP_TRY(artifact, describe(context, exported, folder));
  return messages::write_artifact(folder, artifact);
}

Status make_folder(const train::StageContext& context, const StagePaths& paths) {
  std::error_code error;
  fs::remove_all(paths.making, error);
  fs::create_directories(paths.making, error);
  if (error) return fail(ErrorCode::io, "making " + paths.making.string() + ": " + error.message());
  Status status = fill_folder(context, paths.making);
  if (status) status = publish_folder(paths.making, paths.folder);
  // What was half made would only fill a disk that may be full already.
  if (!status) fs::remove_all(paths.making, error);
  return status;
}

// A folder from before a kill holds these very weights; anything else is another training's.
Status check_same_training(const train::StageContext& context, const StagePaths& paths) {
  const fs::path kept = paths.folder / context.weights.filename();
  auto before = trust::sha256_file(kept);
  if (!before) return fail(before.error().context("checking what an earlier call left"));
  OUTCROP_TRY(now, trust::sha256_file(context.weights));
  if (*before == now) return {};
  return fail(ErrorCode::already_exists,
              paths.folder.string() +
                  " holds the model of another training; remove it together with " +
                  paths.release.string() + ", or train into another folder (--out)");
}

Status make_release(const train::TrainConfig& config, const StagePaths& paths) {
  release::CreateRequest request;
  request.artifact_folder = paths.folder;
  request.keys_folder = config.release->keys;
  request.out = paths.release;
  request.policy.expires = config.release->expiry;
  std::error_code error;
  fs::create_directories(paths.release.parent_path(), error);
  const StepProgress progress("proving and signing");
  OUTCROP_TRY(created, release::create_release(request, release::make_host_prover(), SystemClock(),
                                               progress));
  progress.finish();
  std::fprintf(stderr, "  release %s, manifest %.16s…%s\n", paths.release.c_str(),
               created.manifest_digest.hex().c_str(), created.existed ? " (was there)" : "");
  return {};
}

Status finish_stage(const train::StageContext& context) {
  const StagePaths paths(context.config, context.stage);
  OUTCROP_CHECK(fs::exists(paths.folder) ? check_same_training(context, paths)
                                         : make_folder(context, paths));
  OUTCROP_CHECK(evaluate::draw_loss_curve(
      context.config.train.out / "training.csv", context.config.train.out / "loss.png",
      context.config.model.name + ", " + human_duration(context.trained) + " of training"));
  if (!context.config.release) return {};
  return make_release(context.config, paths);
}

}  // namespace

Result<train::StageEnd> make_stage_end(const train::TrainConfig& config) {
  if (config.release) {
    OUTCROP_TRY(keys, release::read_key_store(config.release->keys));
    OUTCROP_CHECK(release::check_fresh(keys, SystemClock().now()));
    OUTCROP_TRY(store, release::StageStore::open(config.release->keys, config.model.name, keys));
  }
  OUTCROP_TRY(runner, runtime::Runner::start());
  return train::StageEnd(finish_stage);
}

}  // namespace outcrop::stage
