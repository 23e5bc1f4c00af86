#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/training_for_int8.hpp"
#include "trainer_host/trainer/train/config.hpp"
#include "trainer_host/trainer/train/stage_end.hpp"

namespace outcrop::train {

// Bytes that a folder, which need not be there yet, has room for; nothing where nobody knows.
[[nodiscard]] std::optional<ByteCount> free_space_at(const std::filesystem::path& folder);
using FreeSpace = std::function<std::optional<ByteCount>(const std::filesystem::path&)>;
// no_space where it has not as much room as `needed`, which `who` ("a stage takes about") needs, with what to do about it.
[[nodiscard]] Status check_room_for(const std::filesystem::path& folder, ByteCount needed, const std::string& who,
                                    const std::string& advice, const FreeSpace& free_space = free_space_at);
// Of all parameters and buffers, in memory and in a file.
[[nodiscard]] ByteCount size_of_weights(const kinds::Task& task);

// What a stage takes on disk, about: a checkpoint has three values for each weight (four with an average) and stands
// twice while it is saved; a stage with its release takes eight times the weights, goldens and tables some megabytes.
[[nodiscard]] ByteCount space_of_stage(ByteCount weights, bool averaged);

struct TrainOptions {
  enum class Resume {
    automatic,  // from the checkpoint in the output folder, where there is one
    from_file,  // from `checkpoint`
    none,       // from the beginning; the folder's checkpoint is replaced
  };
  Resume resume = Resume::automatic;
  std::filesystem::path checkpoint;
  std::optional<std::int64_t> stages;  // stop after this stage; nothing: there is no last one
  // Go on although schedule, weights of the losses, batch, average or data are not those of the checkpoint.
  bool allow_change = false;
  // Weights, or a checkpoint, that a new run begins with; empty: random ones. Of the same network.
  std::filesystem::path init;
  // Trains stages for int8 (train.qat_from), of one run; null: they are refused.
  std::shared_ptr<kinds::TrainingForInt8> for_int8{};
  FreeSpace free_space = free_space_at;
};

struct TrainSummary {
  std::int64_t stage = 0;
  std::int64_t epoch = 0;
  // Of the last epoch, by the columns of training.csv.
  std::vector<std::pair<std::string, std::optional<double>>> values;
  double trained_seconds = 0.0;
  std::filesystem::path checkpoint;
  std::filesystem::path weights;
};

// What train() would begin with.
struct Outlook {
  std::size_t training = 0;  // samples
  std::size_t held_out = 0;
  std::string from;  // "begins a new run", "goes on after epoch 3 (stage 1), from run/checkpoint"
};

// Looks at everything that train() needs before it trains, with the same errors, and changes nothing.
[[nodiscard]] Result<Outlook> look_ahead(const TrainConfig& config, const TrainOptions& options,
                                         const StageEnd& stage_end = {});

// Trains by stages until `options.stages` is done. In `config.train.out` it keeps
//   checkpoint             after every epoch, crash-safe
//   training.csv           a row for each finished epoch, and the same for TensorBoard (event_file.hpp)
//   lineage.json           what the run began with and what was changed on the way, where there is any
//   <model>_stage<N>.weights
// With train.average, held-out scores, weights and what a stage's end makes are those of averaged
// weights (average.hpp); the losses of training stay those of the weights that are trained.
// Killed at any moment and started again with the same configuration, data, threads, machine and
// library, it ends with the bits of a run that was never killed. What it does is said on standard
// error, with a progress bar for each stage.
//
// Fails with `diverged` at the first loss or gradient that is not finite (the last good epoch
// stays in the checkpoint), with `no_space` where the disk does not take another stage, with `interrupted` after Ctrl-C, with `refused` where another process
// trains in the same folder, with `already_exists` where another training's work stands in it. Sets
// the process's threads. A signal to stop ends the process within two seconds (prompt_stop.hpp).
[[nodiscard]] Result<TrainSummary> train(const TrainConfig& config, const TrainOptions& options,
                                         const StageEnd& stage_end);

}  // namespace outcrop::train
