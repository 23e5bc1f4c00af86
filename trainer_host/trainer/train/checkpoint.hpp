#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/train/average.hpp"
#include "trainer_host/trainer/train/history.hpp"
#include "trainer_host/trainer/train/lineage.hpp"

namespace outcrop::train {

// How far a run has come, apart from its weights. Order and flips of samples are functions of
// seed and epoch, so there is no state of a random generator to keep.
struct Progress {
  std::int64_t epoch = 0;         // last finished one
  std::int64_t ended_stages = 0;  // stages whose end (quantize, measure, release) is done
  History history;
  Lineage lineage;

  // The stage of the last epoch; 0 before the first.
  [[nodiscard]] std::int64_t stage() const;
  // How many epochs of a stage are done.
  [[nodiscard]] std::int64_t epochs_of(std::int64_t stage) const;
  [[nodiscard]] double trained_seconds() const;
};

// What a checkpoint belongs to.
struct RunIdentity {
  std::string model;
  std::string kind;
  std::string text;         // identity_of()
  std::string data_digest;  // of the training data
};

// The optimizer of what a stage trains, as new.
using OptimizerOf = std::function<Adam&(std::int64_t stage)>;

// Of training.csv, in the order of the task's columns.
[[nodiscard]] std::vector<std::string> column_names(const kinds::Task& task);

// Writes weights, BatchNorm statistics, trained ranges, optimizer state, average and progress into one file,
// crash-safe: on failure (no_space for a full disk) the checkpoint that was there is untouched.
[[nodiscard]] Status save_checkpoint(const std::filesystem::path& path, const RunIdentity& identity,
                                     const kinds::Task& task, const Adam& optimizer,
                                     const Average& average, const Progress& progress);

// Brings task, optimizer and average to where the checkpoint stood; an average that it has not begins
// there. invalid_data where the file is no
// checkpoint, cut short or damaged; invalid_argument where it is of another kind, or was made with
// another configuration or other data, with the lines that differ and the ways on. With `allow_change`, what may change
// (identity.hpp) does from there on, and the lineage says so. On failure the tensors may be half
// restored.
[[nodiscard]] Result<Progress> load_checkpoint(const std::filesystem::path& path,
                                               const RunIdentity& identity, bool allow_change,
                                               kinds::Task& task,
                                               const OptimizerOf& optimizer_of,
                                               Average& average);

}  // namespace outcrop::train
