#include "trainer_host/trainer/train/trainer.hpp"

#include <cstdio>
#include <memory>
#include <set>
#include <utility>

#include "platform/console/progress_bar.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"
#include "trainer_host/trainer/kinds/draws.hpp"
#include "trainer_host/trainer/kinds/epochs.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/train/average.hpp"
#include "trainer_host/trainer/train/beginning.hpp"
#include "trainer_host/trainer/train/checkpoint.hpp"
#include "trainer_host/trainer/train/event_file.hpp"
#include "trainer_host/trainer/train/identity.hpp"
#include "trainer_host/trainer/train/output_folder.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/prompt_stop.hpp"
#include "trainer_host/trainer/train/schedule.hpp"
#include "trainer_host/trainer/train/step.hpp"

namespace outcrop::train {
namespace fs = std::filesystem;
namespace {

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::string fixed(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::set<std::string> names_in(const kinds::Phase& phase) {
  std::set<std::string> names;
  for (const kinds::Phase::Trained& trained : phase.trained) names.insert(trained.name);
  return names;
}

// One training at a time in a folder; released with the process.
Result<UniqueFd> lock_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return try_lock_file(folder / ".lock", 0644, "another process is training in " + folder.string());
}

// What a killed process was writing.
void remove_leftovers(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename().string().find(".tmp-") != std::string::npos) {
      fs::remove(entry.path(), error);
    }
  }
}

class Run {
 public:
  Run(const TrainConfig& config, std::unique_ptr<kinds::Task> task, const StageEnd& stage_end,
      std::shared_ptr<kinds::TrainingForInt8> for_int8)
      : config_(config),
        task_(std::move(task)),
        stage_end_(stage_end),
        identity_{config.name, config.kind, identity_of(config, task_->data()),
                  task_->data().digest},
        phase_(task_->phase(1)),
        optimizer_(make_optimizer(phase_, config.train)),
        average_(kinds::state_of(*task_), config.train.average),
        for_int8_(std::move(for_int8)),
        checkpoint_(config.train.out / "checkpoint"),
        batches_((task_->data().training + static_cast<std::size_t>(config.train.batch) - 1) /
                 static_cast<std::size_t>(config.train.batch)) {}

  // Takes up what beginning.hpp finds. Changes nothing on disk.
  Status begin(const TrainOptions& options);
  // Whether the model can be trained for int8, where this run is to be and was not yet.
  Status check_int8();
  // Whether the stage's end can be made when this run comes to it, as far as its epochs tell when that is.
  [[nodiscard]] Status check_time(std::optional<std::int64_t> last_stage) const;
  // Whether the disk takes another stage.
  [[nodiscard]] Status check_space(std::optional<std::int64_t> last_stage, const FreeSpace& free_space) const;
  // Says where it begins, and brings the tables beside the checkpoint to there.
  Status announce() const;
  Status run(std::optional<std::int64_t> last_stage, PromptStop& prompt_stop);
  [[nodiscard]] TrainSummary summary() const;
  [[nodiscard]] Outlook outlook() const;

 private:
  Status train_stage(std::int64_t stage, std::optional<std::int64_t> last_stage);
  Status train_epoch(std::int64_t epoch, ProgressBar& bar, std::size_t& done);
  bool enter_phase_of(std::int64_t stage);
  Status enter_form(double progress, bool epoch_begins);
  [[nodiscard]] Status check_warm_up() const;
  Status end_stage(std::int64_t stage);
  Status make_of_averaged(std::int64_t stage);
  Status save();
  Status write_tables() const;
  [[nodiscard]] std::int64_t stage_at_work() const;
  [[nodiscard]] double progress_in_stage(std::size_t batch) const;
  [[nodiscard]] std::string shown_scores() const;
  Error at_batch(const Error& error, std::int64_t epoch, std::size_t batch,
                 std::span<const kinds::Draw> draws) const;
  Error stopped_by_user(std::int64_t epoch, std::size_t batch) const;
  [[nodiscard]] fs::path weights_path(std::int64_t stage) const;
  [[nodiscard]] std::string where_it_stands() const;

  const TrainConfig& config_;
  std::unique_ptr<kinds::Task> task_;
  const StageEnd& stage_end_;
  RunIdentity identity_;
  kinds::Phase phase_;
  Adam optimizer_;
  Average average_;
  std::shared_ptr<kinds::TrainingForInt8> for_int8_;  // or null
  Progress progress_;
  fs::path checkpoint_;
  std::string from_;
  std::size_t batches_;  // an epoch
};

Status Run::begin(const TrainOptions& options) {
  const OptimizerOf optimizer_of = [this](std::int64_t stage) -> Adam& {
    enter_phase_of(stage);
    return optimizer_;
  };
  OUTCROP_TRY(beginning,
              find_beginning(config_, options, identity_, *task_, optimizer_of, average_));
  progress_ = std::move(beginning.progress);
  from_ = std::move(beginning.from);
  return {};
}

Status Run::check_time(std::optional<std::int64_t> last_stage) const {
  const auto& rows = progress_.history.rows;
  const bool done = last_stage && progress_.ended_stages >= *last_stage;
  if (!stage_end_.may_take || rows.empty() || done) return {};
  const std::int64_t length = config_.train.stage_epochs;
  const std::size_t counted = std::min(rows.size(), static_cast<std::size_t>(length));
  double an_epoch = 0;
  for (std::size_t i = rows.size() - counted; i < rows.size(); ++i) {
    an_epoch += rows[i].seconds / static_cast<double>(counted);
  }
  const std::int64_t stage = stage_at_work();
  const std::int64_t of_stage = std::max<std::int64_t>(0, length - progress_.epochs_of(stage));
  const std::int64_t of_run = of_stage + std::max<std::int64_t>(0, last_stage.value_or(stage) - stage) * length;
  const auto seconds = [&](std::int64_t epochs) {
    return std::chrono::seconds(static_cast<std::int64_t>(an_epoch * static_cast<double>(epochs)));
  };
  return stage_end_.may_take({seconds(of_stage), seconds(of_run)});
}

Status Run::announce() const {
  say(std::to_string(task_->data().training) + " samples to train on, " +
      std::to_string(task_->data().held_out) + " held out");
  say(from_);
  for (const Change& change : progress_.lineage.changes) {
    if (change.epoch != progress_.epoch) continue;
    say("changed from epoch " + std::to_string(change.epoch + 1) + " on: " + change.key);
  }
  return progress_.epoch > 0 ? write_tables() : Status();
}

// A full disk loses nothing of a run, but stops it: better known now than in the morning.
Status Run::check_space(std::optional<std::int64_t> last_stage, const FreeSpace& free_space) const {
  if (last_stage && progress_.ended_stages >= *last_stage) return {};
  return check_room_for(config_.train.out, space_of_stage(size_of_weights(*task_), average_.on()), "a stage takes about",
                        std::string("make room there, or choose another folder (--out DIR)") +
                            (config_.train.keep_stages == 0 ? "; train.keep_stages bounds what stays of earlier stages" : ""),
                        free_space);
}

Status Run::run(std::optional<std::int64_t> last_stage, PromptStop& prompt_stop) {
  const std::int64_t length = config_.train.stage_epochs;
  for (;;) {
    const std::int64_t stage = stage_at_work();
    if (progress_.epochs_of(stage) >= length) {
      const std::string stopped = "stopped in the end of stage " + std::to_string(stage) + "; " +
                                  where_it_stands() + "; the same command takes it up from there";
      if (data::StopSignal::requested()) return fail(ErrorCode::interrupted, stopped);
      prompt_stop.set_last_words(stopped);
      OUTCROP_CHECK(end_stage(stage));
      continue;
    }
    if (last_stage && progress_.ended_stages >= *last_stage) return {};
    prompt_stop.set_last_words("stopped in stage " + std::to_string(stage) +
                               "; the same command goes on after the last epoch saved in " +
                               checkpoint_.string());
    OUTCROP_CHECK(train_stage(stage, last_stage));
  }
}

// The last epoch's, or the next one where that stage is ended.
std::int64_t Run::stage_at_work() const {
  return std::max(progress_.stage(), progress_.ended_stages + 1);
}

Status Run::train_stage(std::int64_t stage, std::optional<std::int64_t> last_stage) {
  const std::int64_t last =
      progress_.epoch + config_.train.stage_epochs - progress_.epochs_of(stage);
  const auto epochs = static_cast<std::size_t>(last - progress_.epoch);
  ProgressBar bar("stage " + std::to_string(stage), epochs * batches_, "batches");
  std::size_t done = 0;
  if (enter_phase_of(stage)) average_.settle(names_in(phase_));
  while (progress_.epoch < last) {
    OUTCROP_CHECK(train_epoch(progress_.epoch + 1, bar, done));
    if (progress_.epoch > 1) continue;
    // Nothing was known before. What is begun is not stopped: it can be mended until the stage ends.
    if (const Status late = check_time(last_stage); !late) say("\nnote: " + late.error().message());
  }
  return {};
}

Status Run::train_epoch(std::int64_t epoch, ProgressBar& bar, std::size_t& done) {
  const auto start = std::chrono::steady_clock::now();
  const auto draws = kinds::draw_epoch(config_.train.seed, epoch, task_->data().training,
                                       config_.recipe->mirrors());
  if (auto* changing = dynamic_cast<kinds::ChangesWithEpochs*>(task_.get())) changing->begin_epoch(epoch);
  const auto columns = task_->columns();
  EpochRecord record;
  record.epoch = epoch;
  record.stage = stage_at_work();
  std::vector<std::optional<double>> losses;
  const LoopConfig& loop = config_.train;
  const double peak = loop.learning_rate * (loop.int8.is(record.stage) ? loop.int8.rate : 1.0);
  task_->set_training(true);
  for (std::size_t i = 0; i < batches_; ++i) {
    if (data::StopSignal::requested()) return fail(stopped_by_user(epoch, i));
    const auto chosen = kinds::batch_of(draws, i, batches_);
    OUTCROP_CHECK(enter_form(progress_in_stage(i), i == 0));
    record.learning_rate = learning_rate(peak, progress_in_stage(i));
    const auto loss =
        train_step(*task_, phase_, optimizer_, chosen, config_.train, record.learning_rate);
    if (!loss) return fail(at_batch(loss.error(), epoch, i, chosen));
    average_.update();
    losses.resize(loss->size());
    std::string shown;
    for (std::size_t part = 0; part < losses.size(); ++part) {
      if (!(*loss)[part]) continue;
      losses[part] = losses[part].value_or(0.0) + *(*loss)[part] / static_cast<double>(batches_);
      shown += (shown.empty() ? "" : ", ") + columns.at(part).label + " " + fixed(*(*loss)[part], 4);
    }
    bar.update(++done, "epoch " + std::to_string(epoch) + "  loss: " + shown);
  }
  record.values.assign(losses.begin(), losses.end());
  if (for_int8_ && for_int8_->on()) task_->set_training(true);  // what ranges were chosen with is kept no longer
  task_->set_training(false);
  {
    const AveragedWeights averaged(average_);
    for (const auto& score : task_->score_held_out()) record.values.push_back(score);
  }
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress_.epoch = epoch;
  progress_.history.rows.push_back(std::move(record));
  return save();
}

// What a stage trains may be other tensors than the one before did: whether it is another phase.
bool Run::enter_phase_of(std::int64_t stage) {
  kinds::Phase phase = task_->phase(stage);
  if (phase.name == phase_.name) return false;
  phase_ = std::move(phase);
  optimizer_ = make_optimizer(phase_, config_.train);
  return true;
}

// What a stage trains through at this point of it. What it decides is the same after a kill: ranges are chosen of the
// weights as they are, where a stage's warm-up ends and where an epoch begins, or are those of the checkpoint.
Status Run::enter_form(double progress, bool epoch_begins) {
  const LoopConfig::ForInt8& int8 = config_.train.int8;
  if (!int8.is(stage_at_work()) || progress < int8.warm_up) {
    if (epoch_begins && for_int8_) for_int8_->leave(*task_);
    return {};
  }
  const bool frozen = progress >= int8.frozen_from && !task_->trained_ranges().empty();
  if (!for_int8_->on() || (epoch_begins && !frozen)) {
    OUTCROP_CHECK(frozen ? for_int8_->take_up(*task_) : for_int8_->choose_ranges(*task_));
  }
  if (epoch_begins) task_->set_training(false);
  return {};
}

// Nothing of a stage whose last batch is within the warm-up would be trained for int8.
Status Run::check_warm_up() const {
  const auto all = static_cast<double>(config_.train.stage_epochs) * static_cast<double>(batches_);
  const double last = 1.0 - 1.0 / all;
  const double warm_up = config_.train.int8.warm_up;
  if (last >= warm_up) return {};
  return fail(ErrorCode::invalid_argument,
              "train.qat_warm_up: all of a stage for int8 would be in float: the last of its " + fixed(all, 0) +
                  " batches begins at " + fixed(last, 3) + " of the stage, and the warm-up ends at " + fixed(warm_up, 3) +
                  "; give a smaller one, or more train.stage_epochs");
}

// That a model cannot be trained for int8 is known before it is trained any further.
Status Run::check_int8() {
  if (config_.train.int8.from == 0) return {};
  if (!for_int8_) return fail(ErrorCode::unsupported, "train.qat_from: this program trains in float alone");
  OUTCROP_CHECK(check_warm_up());
  if (!task_->trained_ranges().empty()) return {};  // those of a checkpoint are to stay, and say that it can
  const Status possible = for_int8_->choose_ranges(*task_);
  for_int8_->leave(*task_);
  return possible;
}

Status Run::save() {
  OUTCROP_CHECK(save_checkpoint(checkpoint_, identity_, *task_, optimizer_, average_, progress_));
  return write_tables();
}

Status Run::write_tables() const {
  const Lineage& lineage = progress_.lineage;
  if (lineage.origin || !lineage.changes.empty()) {
    OUTCROP_CHECK(
        write_file_durably(config_.train.out / "lineage.json", lineage_to_json(lineage)));
  }
  OUTCROP_CHECK(write_file_durably(config_.train.out / "training.csv", to_csv(progress_.history)));
  return write_event_file(config_.train.out, progress_.history);
}

Status Run::end_stage(std::int64_t stage) {
  OUTCROP_CHECK(make_of_averaged(stage));
  progress_.ended_stages = stage;
  OUTCROP_CHECK(save());
  return remove_old_stages(config_.train.out, config_.name, stage, config_.train.keep_stages);
}

// What a stage leaves, all of it of the averaged weights. The checkpoint keeps both.
Status Run::make_of_averaged(std::int64_t stage) {
  const AveragedWeights averaged(average_);
  task_->set_training(false);
  task_->fit();
  const std::chrono::duration<double> trained(progress_.trained_seconds());
  OUTCROP_CHECK(kinds::save_weights(weights_path(stage), *task_,
                                    {.name = config_.name,
                                     .kind = config_.kind,
                                     .shape = task_->shape(),
                                     .stage = stage,
                                     .epoch = progress_.epoch,
                                     .trained = trained,
                                     .data_digest = task_->data().digest}));
  say("stage " + std::to_string(stage) + " trained: " + human_duration(trained) +
      " of training in all" + shown_scores() + "; weights in " + weights_path(stage).string());
  if (stage_end_.end) {
    const Status ended = stage_end_.end(
        StageContext{config_, *task_, progress_.history, progress_.lineage.until(progress_.epoch),
                     weights_path(stage), stage, progress_.epoch, trained});
    (void)set_threads(config_.train.threads);
    if (!ended) {
      return fail(ended.error().context("ending stage " + std::to_string(stage)));
    }
  }
  return {};
}

std::string Run::shown_scores() const {
  std::string text;
  const auto columns = task_->columns();
  for (const kinds::Column& column : columns) {
    if (column.meaning != kinds::Column::Meaning::score) continue;
    const auto value = progress_.history.last(column.name);
    if (value) text += ", " + column.label + " " + fixed(*value, std::abs(*value) < 10.0 ? 3 : 0);
  }
  return text;
}

double Run::progress_in_stage(std::size_t batch) const {
  const auto epochs_done = static_cast<double>(progress_.epochs_of(stage_at_work()));
  const double of_epoch = static_cast<double>(batch) / static_cast<double>(batches_);
  return (epochs_done + of_epoch) / static_cast<double>(config_.train.stage_epochs);
}

std::string Run::where_it_stands() const {
  if (progress_.epoch == 0) return "no epoch was finished, so nothing is saved";
  return "epoch " + std::to_string(progress_.epoch) + " is the last good one, saved in " +
         checkpoint_.string();
}

Error Run::at_batch(const Error& error, std::int64_t epoch, std::size_t batch,
                    std::span<const kinds::Draw> draws) const {
  std::string samples;
  for (const kinds::Draw& draw : draws) {
    samples += (samples.empty() ? "" : ", ") + std::to_string(draw.sample) +
               (draw.mirrored ? " (mirrored)" : "");
  }
  return {error.code(), "stage " + std::to_string(stage_at_work()) +
                            ", epoch " + std::to_string(epoch) + ", batch " +
                            std::to_string(batch + 1) + " of " + std::to_string(batches_) +
                            " (samples " + samples + "): " + error.message() + "; " +
                            where_it_stands() +
                            "; a smaller train.learning_rate may help" +
                            (progress_.epoch > 0 ? ": with --allow-change, the same command goes on "
                                                   "from there with it"
                                                 : "")};
}

Error Run::stopped_by_user(std::int64_t epoch, std::size_t batch) const {
  return {ErrorCode::interrupted, "stopped in epoch " + std::to_string(epoch) + " after " +
                                      std::to_string(batch) + " of " + std::to_string(batches_) +
                                      " batches; " + where_it_stands() +
                                      "; the same command goes on from there"};
}

fs::path Run::weights_path(std::int64_t stage) const {
  return config_.train.out / (config_.name + "_stage" + std::to_string(stage) + ".weights");
}

TrainSummary Run::summary() const {
  TrainSummary summary;
  summary.stage = progress_.ended_stages;
  summary.epoch = progress_.epoch;
  summary.trained_seconds = progress_.trained_seconds();
  summary.checkpoint = checkpoint_;
  summary.weights = weights_path(progress_.ended_stages);
  for (const std::string& column : progress_.history.columns) {
    summary.values.emplace_back(column, progress_.history.last(column));
  }
  return summary;
}

Outlook Run::outlook() const {
  return {task_->data().training, task_->data().held_out, from_};
}

Result<TrainSummary> train_in_folder(const TrainConfig& config, const TrainOptions& options,
                                     const StageEnd& stage_end) {
  OUTCROP_TRY(lock, lock_folder(config.train.out));
  OUTCROP_CHECK(check_room(config, options));
  remove_leftovers(config.train.out);
  const std::string threads = set_threads(config.train.threads);
  const data::StopSignal stop_signal;
  PromptStop prompt_stop;
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  Run run(config, std::move(task), stage_end, options.for_int8);
  OUTCROP_CHECK(run.begin(options));
  OUTCROP_CHECK(run.check_int8());
  OUTCROP_CHECK(run.check_space(options.stages, options.free_space));
  OUTCROP_CHECK(run.check_time(options.stages));
  OUTCROP_CHECK(run.announce());
  say(threads);
  OUTCROP_CHECK(run.run(options.stages, prompt_stop));
  return run.summary();
}

Result<Outlook> look_from_outside(const TrainConfig& config, const TrainOptions& options,
                                  const StageEnd& stage_end) {
  OUTCROP_CHECK(check_room(config, options));
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  Run run(config, std::move(task), stage_end, options.for_int8);
  OUTCROP_CHECK(run.begin(options));
  OUTCROP_CHECK(run.check_int8());
  OUTCROP_CHECK(run.check_space(options.stages, options.free_space));
  OUTCROP_CHECK(run.check_time(options.stages));
  return run.outlook();
}

// LibTorch's exceptions end here.
template <class Work>
auto without_exceptions(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::out_of_memory,
                "training needs more memory than there is: try a smaller train.batch (a run that "
                "has begun goes on with it by --allow-change)");
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "LibTorch: " + models::first_line_of(error));
  }
}

}  // namespace

Status check_room_for(const std::filesystem::path& folder, ByteCount needed, const std::string& who, const std::string& advice,
                      const FreeSpace& free_space) {
  const auto available = free_space(folder);
  if (!available || *available >= needed) return {};
  return fail(ErrorCode::no_space, folder.string() + " has room for " + available->human() + ", and " + who + " " + needed.human() +
                                       ": " + advice);
}

ByteCount size_of_weights(const kinds::Task& task) {
  std::uint64_t bytes = 0;
  for (const auto& [name, tensor] : kinds::state_of(task)) bytes += tensor.nbytes();
  return ByteCount(bytes);
}

ByteCount space_of_stage(ByteCount weights, bool averaged) {
  const std::uint64_t copies = averaged ? 16 : 14;
  return ByteCount(copies * weights.value() + ByteCount::mib(16).value());
}

std::optional<ByteCount> free_space_at(const fs::path& folder) {
  std::error_code error;
  fs::path place = fs::absolute(folder, error);
  while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
  const auto space = fs::space(place, error);
  return error ? std::nullopt : std::optional(ByteCount(space.available));
}

Result<TrainSummary> train(const TrainConfig& config, const TrainOptions& options,
                           const StageEnd& stage_end) {
  return without_exceptions([&] { return train_in_folder(config, options, stage_end); });
}

Result<Outlook> look_ahead(const TrainConfig& config, const TrainOptions& options,
                           const StageEnd& stage_end) {
  return without_exceptions([&] { return look_from_outside(config, options, stage_end); });
}

}  // namespace outcrop::train
