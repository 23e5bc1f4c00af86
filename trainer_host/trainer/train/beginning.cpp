#include "trainer_host/trainer/train/beginning.hpp"

#include <optional>

#include "protocol/base/cut_short.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/adds_to_trained.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/output_folder.hpp"

namespace outcrop::train {
namespace fs = std::filesystem;
namespace {

// The checkpoint that these options go on from, if any.
std::optional<fs::path> checkpoint_to_resume(const TrainConfig& config,
                                             const TrainOptions& options) {
  if (options.resume == TrainOptions::Resume::from_file) return options.checkpoint;
  const fs::path own = config.train.out / "checkpoint";
  std::error_code error;
  if (options.resume == TrainOptions::Resume::automatic && fs::exists(own, error)) return own;
  return std::nullopt;
}

std::string place_of(std::int64_t epoch, std::int64_t stage) {
  return "epoch " + std::to_string(epoch) + " (stage " + std::to_string(stage) + ")";
}

// The same command goes on after a kill, --init and all; another beginning is another run.
Status check_origin(const TrainConfig& config, const Progress& progress,
                    const TrainOptions& options) {
  if (options.init.empty()) return {};
  OUTCROP_TRY(digest, trust::sha256_file(options.init));
  const auto& origin = progress.lineage.origin;
  if (origin && origin->sha256 == digest.hex()) return {};
  return fail(ErrorCode::already_exists,
              config.train.out.string() + " holds a run that did not begin with " +
                  options.init.string() +
                  "; nothing was changed. A new run needs a folder of its own (--out DIR)");
}

// A stage's end describes and calibrates it by the data, and keeps the averaged weights where there are
// some: a killed one comes to the same when it is run again.
Status check_end_is_as_trained(const Progress& progress) {
  for (const Change& change : progress.lineage.changes) {
    const bool average = change.key == "train.average";
    if (change.epoch != progress.epoch || !(average || change.key.starts_with("data."))) continue;
    const std::string stage = std::to_string(progress.stage());
    return fail(ErrorCode::invalid_argument,
                "stage " + stage + " is trained and not yet ended: end it with the " +
                    (average ? "average as it was" : "data as they were") + " (--stages " + stage +
                    "), then change " + (average ? "it" : "them"));
  }
  return {};
}

Result<Beginning> resume(const fs::path& path, const TrainConfig& config,
                         const TrainOptions& options, const RunIdentity& identity,
                         kinds::Task& task, const OptimizerOf& optimizer_of,
                         Average& average) {
  OUTCROP_TRY(progress,
              load_checkpoint(path, identity, options.allow_change, task, optimizer_of, average));
  OUTCROP_CHECK(check_origin(config, progress, options));
  const std::int64_t stage = progress.stage();
  const bool trained = progress.epochs_of(stage) >= config.train.stage_epochs;
  if (trained && stage > progress.ended_stages) OUTCROP_CHECK(check_end_is_as_trained(progress));
  OUTCROP_CHECK(check_room_after(config.train.out, config.name,
                                 trained ? stage : progress.ended_stages));
  if (options.resume == TrainOptions::Resume::from_file) {
    OUTCROP_CHECK(check_same_curve(config.train.out, to_csv(progress.history)));
  }
  std::string from = "goes on after " + place_of(progress.epoch, stage) + ", from " + path.string();
  return Beginning{std::move(progress), std::move(from)};
}

// What weights of such a shape are copied to: all of the network, all but what it adds, or nothing where they are another's.
std::optional<models::NamedTensors> targets_of(const std::string& shape, const kinds::Task& task) {
  models::NamedTensors targets = kinds::state_of(task);
  if (shape == task.shape()) return targets;
  const auto* adding = dynamic_cast<const kinds::AddsToTrained*>(&task);
  if (adding == nullptr || shape != adding->shape_without_added()) return std::nullopt;
  std::erase_if(targets, [&](const auto& target) { return adding->is_added(target.first); });
  return targets;
}

// A new run begins with the same network, and forgets how it was trained.
Result<Beginning> begin_with(const fs::path& weights, const TrainConfig& config,
                             const kinds::Task& task, Average& average) {
  OUTCROP_TRY(file, models::read_model_file(weights));
  auto read = models::description_in(file.about);
  if (!read) return fail(read.error().context("reading " + weights.string()));
  const models::ModelDescription& model = *read;
  const auto targets = targets_of(model.shape, task);
  if (model.kind != config.kind || !targets) {
    return fail(ErrorCode::invalid_argument,
                weights.string() + " holds another network (" + model.kind + " " + cut_short(model.shape, 400) +
                    ") than the configuration's (" + config.kind + " " + cut_short(task.shape(), 400) +
                    "): a run can begin with weights of the same network only");
  }
  if (const Status copied = models::restore(*targets, kinds::weights_in(file)); !copied) {
    return fail(copied.error().context("reading " + weights.string()));
  }
  average.begin();
  OUTCROP_TRY(digest, trust::sha256_file(weights));
  Beginning beginning;
  beginning.progress.history.columns = column_names(task);
  beginning.progress.lineage.origin = Origin{.file = fs::absolute(weights),
                                             .sha256 = digest.hex(),
                                             .model = model.name,
                                             .stage = model.stage,
                                             .epoch = model.epoch,
                                             .data_digest = model.data_digest};
  beginning.from = "begins a new run with the weights of '" + model.name + "' after " +
                   place_of(model.epoch, model.stage) + " in " + weights.string();
  return beginning;
}

}  // namespace

Status check_room(const TrainConfig& config, const TrainOptions& options) {
  if (checkpoint_to_resume(config, options)) return {};
  return check_room_for_new_run(config.train.out, config.name,
                                options.resume == TrainOptions::Resume::none);
}

Result<Beginning> find_beginning(const TrainConfig& config, const TrainOptions& options,
                                 const RunIdentity& identity, kinds::Task& task,
                                 const OptimizerOf& optimizer_of, Average& average) {
  if (const auto checkpoint = checkpoint_to_resume(config, options)) {
    return resume(*checkpoint, config, options, identity, task, optimizer_of, average);
  }
  if (!options.init.empty()) return begin_with(options.init, config, task, average);
  if (const auto* adding = dynamic_cast<const kinds::AddsToTrained*>(&task)) OUTCROP_CHECK(adding->check_random_beginning());
  Beginning beginning{{}, "begins a new run"};
  beginning.progress.history.columns = column_names(task);
  return beginning;
}

}  // namespace outcrop::train
