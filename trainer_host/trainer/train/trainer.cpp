#include "trainer_host/trainer/train/trainer.hpp"

#include <cstdio>

#include "platform/console/progress_bar.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/beginning.hpp"
#include "trainer_host/trainer/train/checkpoint.hpp"
#include "trainer_host/trainer/train/epoch.hpp"
#include "trainer_host/trainer/train/identity.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/prompt_stop.hpp"
#include "trainer_host/trainer/train/schedule.hpp"

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
  Run(const TrainConfig& config, SplitData data, const StageEnd& stage_end)
      : config_(config),
        data_(std::move(data)),
        stage_end_(stage_end),
        identity_{config.model.name, identity_of(config, data_), data_.data_digest},
        generator_(models::make_generator(config.model.shape, config.train.seed)),
        optimizer_(make_optimizer(generator_, config.train)),
        checkpoint_(config.train.out / "checkpoint"),
        batches_((data_.training.size() + static_cast<std::size_t>(config.train.batch) - 1) /
                 static_cast<std::size_t>(config.train.batch)) {}

  // Takes up what beginning.hpp finds. Changes nothing on disk.
  Status begin(const TrainOptions& options);
  // Says where it begins, and brings the tables beside the checkpoint to there.
  Status announce() const;
  Status run(std::optional<std::int64_t> last_stage, PromptStop& prompt_stop);
  [[nodiscard]] TrainSummary summary() const;
  [[nodiscard]] Outlook outlook() const;

 private:
  Status train_stage(std::int64_t stage);
  Status train_epoch(std::int64_t epoch, ProgressBar& bar, std::size_t& done);
  void score(EpochRecord& record);
  Status end_stage(std::int64_t stage);
  Status save();
  Status write_tables() const;
  void note_little_room() const;
  [[nodiscard]] std::int64_t stage_at_work() const;
  [[nodiscard]] double progress_in_stage(std::size_t batch) const;
  Error at_batch(const Error& error, std::int64_t epoch, std::size_t batch,
                 std::span<const Draw> draws) const;
  Error stopped_by_user(std::int64_t epoch, std::size_t batch) const;
  [[nodiscard]] fs::path weights_path(std::int64_t stage) const;
  [[nodiscard]] std::string where_it_stands() const;

  const TrainConfig& config_;
  SplitData data_;
  const StageEnd& stage_end_;
  RunIdentity identity_;
  models::Generator generator_;
  Adam optimizer_;
  Progress progress_;
  fs::path checkpoint_;
  std::string from_;
  std::size_t batches_;  // an epoch
};

Status Run::begin(const TrainOptions& options) {
  OUTCROP_TRY(beginning, find_beginning(config_, options, identity_, generator_, optimizer_));
  progress_ = std::move(beginning.progress);
  from_ = std::move(beginning.from);
  return {};
}

Status Run::announce() const {
  say(std::to_string(data_.training.size()) + " samples to train on, " +
      std::to_string(data_.held_out.size()) + " held out");
  if (data_.shared > 0) {
    say("note: " + std::to_string(data_.shared) +
        " of the samples held out are among those to train on, too: their score says little");
  }
  note_little_room();
  say(from_);
  for (const Change& change : progress_.lineage.changes) {
    if (change.epoch != progress_.epoch) continue;
    say("changed from epoch " + std::to_string(change.epoch + 1) + " on: " + change.key);
  }
  return progress_.epoch > 0 ? write_tables() : Status();
}

// A full disk loses nothing of a run, but stops it: better known now than in the morning. A checkpoint
// has three values for each weight and stands twice while it is saved; a stage with its release
// takes about eight times the weights, and its goldens and tables some megabytes.
void Run::note_little_room() const {
  std::uint64_t weights = 0;
  for (const auto& [name, tensor] : models::state_of(generator_)) weights += tensor.nbytes();
  const ByteCount needed(14 * weights + ByteCount::mib(16).value());
  std::error_code error;
  const auto space = fs::space(config_.train.out, error);
  if (error || space.available >= needed.value()) return;
  say("note: " + config_.train.out.string() + " has room for " + ByteCount(space.available).human() +
      ", and a stage takes about " + needed.human());
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
    OUTCROP_CHECK(train_stage(stage));
  }
}

// The last epoch's, or the next one where that stage is ended.
std::int64_t Run::stage_at_work() const {
  return std::max(progress_.stage(), progress_.ended_stages + 1);
}

Status Run::train_stage(std::int64_t stage) {
  const std::int64_t last =
      progress_.epoch + config_.train.stage_epochs - progress_.epochs_of(stage);
  const auto epochs = static_cast<std::size_t>(last - progress_.epoch);
  ProgressBar bar("stage " + std::to_string(stage), epochs * batches_, "batches");
  std::size_t done = 0;
  while (progress_.epoch < last) OUTCROP_CHECK(train_epoch(progress_.epoch + 1, bar, done));
  return {};
}

Status Run::train_epoch(std::int64_t epoch, ProgressBar& bar, std::size_t& done) {
  const auto start = std::chrono::steady_clock::now();
  const auto draws =
      draw_epoch(config_.train.seed, epoch, data_.training.size(), config_.train.flip);
  EpochRecord record;
  record.epoch = epoch;
  record.stage = stage_at_work();
  generator_.train(true);
  for (std::size_t i = 0; i < batches_; ++i) {
    if (data::StopSignal::requested()) return fail(stopped_by_user(epoch, i));
    const auto chosen = batch_of(draws, i, batches_);
    record.learning_rate = learning_rate(config_.train.learning_rate, progress_in_stage(i));
    const auto loss = train_step(generator_, optimizer_, load_batch(data_.training, chosen),
                                 config_.train, record.learning_rate);
    if (!loss) return fail(at_batch(loss.error(), epoch, i, chosen));
    record.velocity_loss += loss->velocity / static_cast<double>(batches_);
    record.gather_loss += loss->gathers / static_cast<double>(batches_);
    bar.update(++done, "epoch " + std::to_string(epoch) + "  loss: velocity " +
                           fixed(loss->velocity, 4) + ", gathers " + fixed(loss->gathers, 4));
  }
  score(record);
  record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress_.epoch = epoch;
  progress_.history.push_back(record);
  return save();
}

void Run::score(EpochRecord& record) {
  if (data_.held_out.size() == 0) return;
  generator_.train(false);
  const auto scored = score_held_out(
      generator_, data_.held_out, scored_each_epoch(data_.training.size(), data_.held_out.size()),
      config_.train.edge_weight);
  record.held_out_velocity_loss = scored.velocity_loss;
  record.held_out_gather_loss = scored.gather_loss;
  record.held_out_ssim = scored.ssim;
  record.held_out_mae = scored.mae;
}

Status Run::save() {
  OUTCROP_CHECK(save_checkpoint(checkpoint_, identity_, generator_, optimizer_, progress_));
  return write_tables();
}

Status Run::write_tables() const {
  const Lineage& lineage = progress_.lineage;
  if (lineage.origin || !lineage.changes.empty()) {
    OUTCROP_CHECK(
        write_file_durably(config_.train.out / "lineage.json", lineage_to_json(lineage)));
  }
  return write_file_durably(config_.train.out / "training.csv", to_csv(progress_.history));
}

Status Run::end_stage(std::int64_t stage) {
  generator_.train(false);
  const auto latents = encode_all(generator_, data_.training);
  const auto prior = models::fit_gaussian(latents);
  const std::chrono::duration<double> trained(progress_.trained_seconds());
  OUTCROP_CHECK(models::save_weights(weights_path(stage), {.name = config_.model.name,
                                                           .stage = stage,
                                                           .epoch = progress_.epoch,
                                                           .trained = trained,
                                                           .data_digest = data_.data_digest,
                                                           .generator = generator_,
                                                           .prior = prior}));
  const EpochRecord& last = progress_.history.back();
  say("stage " + std::to_string(stage) + " trained: " + human_duration(trained) +
      " of training in all" +
      (last.held_out_ssim ? ", held-out SSIM " + fixed(*last.held_out_ssim, 3) + ", " +
                                fixed(*last.held_out_mae, 0) + " m/s"
                          : "") +
      "; weights in " + weights_path(stage).string());
  if (stage_end_) {
    const Status ended = stage_end_(StageContext{
        config_, generator_, prior, latents, data_.training, data_.held_out, data_.data_digest,
        progress_.history, progress_.lineage.until(progress_.epoch), weights_path(stage), stage,
        progress_.epoch, trained});
    (void)set_threads(config_.train.threads);
    if (!ended) {
      return fail(ended.error().context("ending stage " + std::to_string(stage)));
    }
  }
  progress_.ended_stages = stage;
  return save();
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
                    std::span<const Draw> draws) const {
  std::string samples;
  for (const Draw& draw : draws) {
    samples += (samples.empty() ? "" : ", ") + std::to_string(draw.sample) +
               (draw.flipped ? " (flipped)" : "");
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
  return config_.train.out / (config_.model.name + "_stage" + std::to_string(stage) + ".weights");
}

TrainSummary Run::summary() const {
  TrainSummary summary;
  summary.stage = progress_.ended_stages;
  summary.epoch = progress_.epoch;
  summary.trained_seconds = progress_.trained_seconds();
  summary.checkpoint = checkpoint_;
  summary.weights = weights_path(progress_.ended_stages);
  if (!progress_.history.empty()) {
    summary.velocity_loss = progress_.history.back().velocity_loss;
    summary.gather_loss = progress_.history.back().gather_loss;
    summary.held_out_ssim = progress_.history.back().held_out_ssim;
  }
  return summary;
}

Outlook Run::outlook() const {
  return {data_.training.size(), data_.held_out.size(), from_};
}

Result<TrainSummary> train_in_folder(const TrainConfig& config, const TrainOptions& options,
                                     const StageEnd& stage_end) {
  OUTCROP_TRY(lock, lock_folder(config.train.out));
  OUTCROP_CHECK(check_room(config, options));
  remove_leftovers(config.train.out);
  OUTCROP_TRY(data, open_samples(config.data));
  keep_freed_memory();
  const std::string threads = set_threads(config.train.threads);
  const data::StopSignal stop_signal;
  PromptStop prompt_stop;
  Run run(config, std::move(data), stage_end);
  OUTCROP_CHECK(run.begin(options));
  OUTCROP_CHECK(run.announce());
  say(threads);
  OUTCROP_CHECK(run.run(options.stages, prompt_stop));
  return run.summary();
}

Result<Outlook> look_from_outside(const TrainConfig& config, const TrainOptions& options) {
  OUTCROP_CHECK(check_room(config, options));
  OUTCROP_TRY(data, open_samples(config.data));
  const StageEnd none;
  Run run(config, std::move(data), none);
  OUTCROP_CHECK(run.begin(options));
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
    const std::string message = error.what();
    // LibTorch appends a C++ backtrace that helps nobody here.
    return fail(ErrorCode::internal, "LibTorch: " + message.substr(0, message.find('\n')));
  }
}

}  // namespace

Result<TrainSummary> train(const TrainConfig& config, const TrainOptions& options,
                           const StageEnd& stage_end) {
  return without_exceptions([&] { return train_in_folder(config, options, stage_end); });
}

Result<Outlook> look_ahead(const TrainConfig& config, const TrainOptions& options) {
  return without_exceptions([&] { return look_from_outside(config, options); });
}

}  // namespace outcrop::train
