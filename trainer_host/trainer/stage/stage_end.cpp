#include "trainer_host/trainer/stage/stage_end.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "platform/console/progress_bar.hpp"
#include "platform/console/step_progress.hpp"
#include "platform/console/terminal.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/runner.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/host_prover.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/quality_table.hpp"
#include "trainer_host/release/stage_store.hpp"
#include "trainer_host/trainer/evaluate/loss_curve.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/kinds/told_with_goldens.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::stage {
namespace fs = std::filesystem;
namespace {

// Where one stage's results stand.
struct StagePaths {
  StagePaths(const fs::path& out, const std::string& model, std::int64_t stage)
      : folder(out / ("stage" + std::to_string(stage))),
        making(out / (".stage" + std::to_string(stage) + ".making")),
        release(out / "releases" / (model + "-stage" + std::to_string(stage))) {}

  fs::path folder;
  fs::path making;
  fs::path release;
};

// What a stage's end has to work with on this machine.
struct Tools {
  runtime::RunnerOptions runner;
  std::string no_times;  // why variants cannot be measured here; empty where they can
};

fs::path performance_file(const train::TrainConfig& config) {
  return config.train.out / "quantization_performance.csv";
}

// By their names, or by methods': "static-mse".
Result<std::vector<std::string>> variants_of(const train::TrainConfig& config) {
  if (config.variants.empty()) return quantize::usual_variants();
  OUTCROP_TRY(variants, quantize::variants_of(config.variants));
  OUTCROP_CHECK(quantize::check_variants(variants));
  return variants;
}

void note(const std::string& what) {
  std::fprintf(stderr, "note: %s\n", what.c_str());
}

// Those that the weights were trained for are made of such weights alone, and of such also where no list is given.
Result<std::vector<std::string>> variants_for(const train::TrainConfig& config, const kinds::Task& task) {
  OUTCROP_TRY(variants, variants_of(config));
  const bool trained = !task.trained_ranges().empty();
  for (const std::string& name : quantize::trained_variants()) {
    if (trained && config.variants.empty()) variants.push_back(name);
    if (trained || std::erase(variants, name) == 0) continue;
    note(name + " is not made: this stage was not trained for int8 (train.qat_from)");
  }
  const auto is_made = [&](const std::string& name) { return std::find(variants.begin(), variants.end(), name) != variants.end(); };
  const auto of_training = quantize::trained_variants();
  if (trained && std::none_of(of_training.begin(), of_training.end(), is_made)) {
    note("this stage was trained for int8, and nothing of it shows that: quantize.variants has neither int8-qat nor "
         "int8-qat-quint8");
  }
  return variants;
}

// The stage whose weights a run began with, where they lie in or beside its folder.
std::optional<StagePaths> stage_of(const train::Origin& origin) {
  const fs::path beside = origin.file.parent_path();
  for (const fs::path& out : {beside, beside.parent_path()}) {
    StagePaths paths(out, origin.model, origin.stage);
    const auto kept = trust::sha256_file(paths.folder / origin.file.filename());
    if (kept && kept->hex() == origin.sha256) return paths;
  }
  return std::nullopt;
}

// The stages that this one follows, the nearest first: those before, then the one that the run began
// with.
std::vector<StagePaths> stages_before(const train::StageContext& context) {
  const std::string& model = context.config.name;
  std::vector<StagePaths> stages;
  for (std::int64_t stage = context.stage - 1; stage >= 1; --stage) {
    stages.emplace_back(context.config.train.out, model, stage);
  }
  const auto& origin = context.lineage.origin;
  if (!origin || origin->model != model) return stages;
  if (auto first = stage_of(*origin)) stages.push_back(std::move(*first));
  return stages;
}

// The manifest that this one follows: that of the nearest stage before that was released. It may have
// expired or been revoked since: it stays the ancestor.
Result<std::optional<trust::Sha256Digest>> lineage_of(const train::StageContext& context) {
  const std::optional<trust::Sha256Digest> none;
  const train::TrainConfig& config = context.config;
  const auto before = config.release ? stages_before(context) : std::vector<StagePaths>();
  if (before.empty()) return none;
  OUTCROP_TRY(keys, release::read_key_store(config.release->keys));
  OUTCROP_TRY(store, release::StageStore::open(config.release->keys, config.name, keys));
  OUTCROP_TRY(list, store.signed_list(keys));
  if (!list) return none;
  for (const StagePaths& stage : before) {
    const fs::path blobs = stage.release / "blobs";
    for (const trust::PermittedRelease& permitted : list->metadata->releases) {
      if (fs::exists(blobs / permitted.manifest.hex())) return permitted.manifest;
    }
  }
  return none;
}

Status tell_with_goldens(const kinds::Task& task, const fs::path& golden_input) {
  const auto* teller = dynamic_cast<const kinds::TellsWithGoldens*>(&task);
  const auto told = teller == nullptr ? std::map<std::string, std::string>() : teller->told_with_goldens();
  if (told.empty()) return {};
  OUTCROP_TRY(inputs, runtime::read_tensor_file(golden_input));
  OUTCROP_TRY(bytes, runtime::encode_tensor_file(inputs, told));
  return write_file_durably(golden_input, bytes);
}

Result<messages::StageArtifact> describe(const train::StageContext& context,
                                         const quantize::ExportedStage& exported,
                                         const fs::path& folder) {
  const train::TrainConfig& config = context.config;
  messages::StageArtifact artifact;
  artifact.model = config.name;
  artifact.stage = static_cast<std::uint64_t>(context.stage);
  artifact.epoch = static_cast<std::uint64_t>(context.epoch);
  OUTCROP_TRY(lineage, lineage_of(context));
  artifact.lineage = lineage;
  OUTCROP_TRY(data_digest, trust::Sha256Digest::from_hex(context.task.data().digest));
  artifact.data_digest = data_digest;
  artifact.code_version = code_version();
  artifact.about = exported.about;
  artifact.signature = exported.signature;
  artifact.golden_calls = exported.golden_calls;
  artifact.bounds = exported.bounds;
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
    std::map<std::string, messages::ShownError> shown;
    for (const auto& [output, error] : variant.outputs) {
      shown[output] = {error.mean_abs_error, error.max_abs_error};
    }
    artifact.variants.push_back(
        {variant.name, file, variant.engine, variant.backend, std::move(shown)});
  }
  return artifact;
}

// Times every variant by the confined runner, or says in each row why it has no times.
std::vector<quantize::PerformanceRow> measure(const train::StageContext& context,
                                              const quantize::ExportedStage& exported,
                                              const Tools& tools) {
  const std::string& model = context.config.name;
  const auto stage = static_cast<int>(context.stage);
  if (!tools.no_times.empty()) {
    return quantize::unmeasured_rows(exported, model, stage, tools.no_times);
  }
  const StepProgress progress("measuring");
  quantize::MeasureOptions options;
  options.runner = tools.runner;
  options.progress = progress;
  auto rows = quantize::measure_performance(exported, model, stage, options);
  progress.finish();
  if (rows) return std::move(*rows);
  return quantize::unmeasured_rows(exported, model, stage, rows.error().message());
}

// Keeps a row for each variant. Nothing here is worth stopping a training for.
Status measure_and_show(const train::StageContext& context, const quantize::ExportedStage& exported,
                        const Tools& tools) {
  const auto rows = measure(context, exported, tools);
  // What ran here may have done what boards allow nobody: it is no use there.
  if (exported.made_by_others && tools.no_times.empty() && !rows.front().unmeasured.empty()) {
    return fail(ErrorCode::refused, "the confined runner, in which boards run models, cannot run it: " +
                                        rows.front().unmeasured);
  }
  const Status kept = quantize::update_performance_csv(performance_file(context.config), rows);
  if (!kept) note(kept.error().message());
  std::fprintf(stderr, "%s%s%s", quantize::performance_table(rows).c_str(), quantize::remarks_text(exported).c_str(),
               quantize::left_out_text(exported).c_str());
  return {};
}

evaluate::CurveText curve_text(const kinds::Task& task) {
  evaluate::CurveText text;
  text.loss_unit = task.loss_unit();
  for (const kinds::Column& column : task.columns()) {
    text.labels[column.name] = column.label;
    const bool score = column.meaning == kinds::Column::Meaning::score;
    if (score && text.score.empty()) text.score = column.name;
  }
  return text;
}

void draw_curve(const train::StageContext& context) {
  const fs::path& out = context.config.train.out;
  std::error_code error;
  if (!fs::exists(out / "training.csv", error)) return;  // nothing was trained here
  const Status drawn = evaluate::draw_loss_curve(
      out / "training.csv", out / "loss.png",
      context.config.name + ", " + human_duration(context.trained) + " of training",
      curve_text(context.task));
  if (!drawn) note(drawn.error().message());
}

// Everything of the stage's folder, under a name that nobody takes for the stage.
Status fill_folder(const train::StageContext& context, const fs::path& folder,
                   const Tools& tools) {
  quantize::VariantChoice choice;
  OUTCROP_TRY(variants, variants_for(context.config, context.task));
  choice.variants = std::move(variants);
  choice.settling.mixed = context.config.mixed;
  OUTCROP_TRY(exported, quantize::export_variants(
                            kinds::export_of(context.task), folder,
                            context.config.name + "_stage" + std::to_string(context.stage), choice));
  OUTCROP_CHECK(tell_with_goldens(context.task, exported.golden_input));
  OUTCROP_CHECK(
      write_file_durably(folder / "quantization.json", quantize::exported_to_json(exported)));
  OUTCROP_CHECK(measure_and_show(context, exported, tools));
  std::error_code error;
  fs::copy_file(context.weights, folder / context.weights.filename(), error);
  if (error) {
    return fail(ErrorCode::io, "copying " + context.weights.string() + ": " + error.message());
  }
  if (context.lineage.origin || !context.lineage.changes.empty()) {
    OUTCROP_CHECK(
        write_file_durably(folder / "lineage.json", train::lineage_to_json(context.lineage)));
  }
  // This process made the file itself, a moment ago.
  OUTCROP_TRY(model, models::LiteModel::load(exported.variants.front().file));
  auto quality = context.task.judge(model);
  if (quality) {
    std::fprintf(stderr, "%s",
                 release::quality_table(*quality, line_width(STDERR_FILENO)).c_str());
  } else {
    note("how good the model is cannot be said: " + quality.error().message());
  }
  OUTCROP_TRY(artifact, describe(context, exported, folder));
  if (quality) artifact.quality = std::move(*quality);
  return messages::write_artifact(folder, artifact);
}

Status make_folder(const train::StageContext& context, const StagePaths& paths,
                   const Tools& tools) {
  std::error_code error;
  fs::remove_all(paths.making, error);
  fs::create_directories(paths.making, error);
  if (error) return fail(ErrorCode::io, "making " + paths.making.string() + ": " + error.message());
  Status status = fill_folder(context, paths.making, tools);
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
                  " holds another model; remove it" +
                  (fs::exists(paths.release) ? " together with " + paths.release.string() : "") +
                  ", or choose another folder (--out)");
}

// The configuration's own days of validity count, whatever the policy's file says.
Result<release::Policy> policy_of(const train::ReleaseConfig& config) {
  release::Policy policy;
  if (config.policy) {
    OUTCROP_TRY(read, release::read_policy(*config.policy));
    policy = std::move(read);
  }
  policy.expires = config.expiry;
  return policy;
}

// That a model is not good enough for a release is no reason to stop training it: the next stage's
// may be. The files are kept for whoever decides otherwise.
Status go_on_without_release(const Error& why, const train::TrainConfig& config,
                             const StagePaths& paths) {
  if (why.code() != ErrorCode::refused) return fail(why);
  std::fprintf(stderr,
               "  NO RELEASE of this stage: %s\n  its files stay in %s; by hand: outcrop release "
               "create %s --keys %s --policy FILE --out %s\n",
               why.message().c_str(), paths.folder.c_str(), paths.folder.c_str(),
               config.release->keys.c_str(), paths.release.c_str());
  return {};
}

Status make_release(const train::TrainConfig& config, const StagePaths& paths,
                    const Tools& tools) {
  release::CreateRequest request;
  request.artifact_folder = paths.folder;
  request.keys_folder = config.release->keys;
  request.out = paths.release;
  OUTCROP_TRY(policy, policy_of(*config.release));
  request.policy = std::move(policy);
  std::error_code error;
  fs::create_directories(paths.release.parent_path(), error);
  const StepProgress progress("proving and signing");
  const auto created = release::create_release(request, release::make_host_prover(tools.runner),
                                               SystemClock(), progress);
  progress.finish();
  if (!created) return go_on_without_release(created.error(), config, paths);
  std::fprintf(stderr, "  release %s, manifest %.16s…%s\n", paths.release.c_str(),
               created->manifest_digest.hex().c_str(), created->existed ? " (was there)" : "");
  for (const release::LeftOut& left_out : created->left_out) {
    std::fprintf(stderr, "  left out of it: %s\n", left_out.reason.c_str());
  }
  return {};
}

// Takes up what an earlier call for the same weights left.
Status make_or_keep_folder(const train::StageContext& context, const StagePaths& paths,
                           const Tools& tools) {
  return fs::exists(paths.folder) ? check_same_training(context, paths)
                                  : make_folder(context, paths, tools);
}

Status finish_stage(const train::StageContext& context, const Tools& tools) {
  std::fprintf(stderr, "Stage %ld ends: quantizing…\n", static_cast<long>(context.stage));
  const StagePaths paths(context.config.train.out, context.config.name, context.stage);
  OUTCROP_CHECK(make_or_keep_folder(context, paths, tools));
  draw_curve(context);
  if (!context.config.release) return {};
  return make_release(context.config, paths, tools);
}

// A release is proved in a runner, and so needs one; times and pictures are missed and done without.
Result<Tools> look_for_tools(const train::TrainConfig& config,
                             const train::StageEndOptions& options) {
  const auto& engines = at::globalContext().supportedQEngines();
  if (std::find(engines.begin(), engines.end(), at::QEngine::QNNPACK) == engines.end()) {
    return fail(ErrorCode::unsupported,
                "this LibTorch has no QNNPACK, which the int8 variants of a stage need");
  }
  Tools tools;
  if (options.allow_reduced_confinement) tools.runner.confinement = runtime::Confinement::reduced;
  if (const auto runner = runtime::Runner::start(tools.runner); !runner) {
    if (config.release) {
      return fail(runner.error().context("a release is proved in a confined runner, and none starts"));
    }
    tools.no_times = runner.error().message();
    note("variants will not be measured: " + tools.no_times);
  }
  if (const Status drawing = evaluate::check_drawing(); !drawing) {
    note("loss.png will not be drawn: " + drawing.error().message());
  }
  return tools;
}

// Keys that are good when training begins may not be when its stage ends: read anew, as they may have been renewed.
Status may_take(const train::TrainConfig& config, const train::StageEnd::Expected& expected) {
  if (!config.release) return {};
  OUTCROP_TRY(keys, release::read_key_store(config.release->keys));
  const Timestamp now = SystemClock().now();
  OUTCROP_CHECK(release::check_fresh(keys, now));
  const auto too_early = release::expiring_soon(keys, now, expected.stage);
  if (!too_early.empty()) {
    return fail(ErrorCode::expired, "the stage at work is trained in about " + human_duration(expected.stage) +
                                        ", and could not be released then: " + too_early.front());
  }
  for (const std::string& words : release::expiring_soon(keys, now, expected.run)) {
    note("training to its last stage takes about " + human_duration(expected.run) + ", and " + words);
  }
  return {};
}

}  // namespace

Status make_stage_folder(const train::StageContext& context, const train::StageEndOptions& options) {
  OUTCROP_TRY(variants, variants_of(context.config));
  OUTCROP_CHECK(quantize::check_performance_csv(performance_file(context.config)));
  OUTCROP_TRY(tools, look_for_tools(context.config, options));
  const StagePaths paths(context.config.train.out, context.config.name, context.stage);
  return make_or_keep_folder(context, paths, tools);
}

Result<train::StageEnd> make_stage_end(const train::TrainConfig& config,
                                       const train::StageEndOptions& options) {
  OUTCROP_TRY(variants, variants_of(config));
  if (config.release) {
    OUTCROP_TRY(keys, release::read_key_store(config.release->keys));
    const Timestamp now = SystemClock().now();
    OUTCROP_CHECK(release::check_fresh(keys, now));
    for (const std::string& words : release::expiring_soon(keys, now)) note(words);
    OUTCROP_TRY(store, release::StageStore::open(config.release->keys, config.name, keys));
    if (const Status alone = store.signs_alone(keys); !alone) {
      if (!config.release->signed_elsewhere) {
        return fail(alone.error().context("no stage could be released when it ends (to train all the same, and have lists signed "
                                          "elsewhere: signed_elsewhere = true in [release])"));
      }
      note(alone.error().message());
    }
    OUTCROP_TRY(policy, policy_of(*config.release));
  }
  OUTCROP_CHECK(quantize::check_performance_csv(performance_file(config)));
  OUTCROP_TRY(tools, look_for_tools(config, options));
  return train::StageEnd(
      [tools](const train::StageContext& context) { return finish_stage(context, tools); },
      [config](const train::StageEnd::Expected& expected) { return may_take(config, expected); });
}

}  // namespace outcrop::stage
