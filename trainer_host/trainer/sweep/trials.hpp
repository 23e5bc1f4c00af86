#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/sweep/sweep_config.hpp"

namespace outcrop::sweep {

// A point and what has become of it.
struct Trial {
  std::size_t number = 0;  // from 1: its folder is trial-001
  Point point{};
  std::int64_t stage = 0;        // the last one that is trained
  std::optional<double> value;   // of the goal, behind that stage
  double seconds = 0;            // of training
  std::string failed{};          // why it did not go on, where it could not
};
[[nodiscard]] std::string folder_of(const Trial& trial);

// Whether a figure of this name is the better the larger it is: not losses and errors ("held_out_mae_m_per_s").
[[nodiscard]] bool more_is_better(const std::string& goal);

// Takes stage, value and seconds from the training.csv of a trial's run, as far as it has come: of stages that are whole.
// not_found where there is no such column; nothing is changed where there is no table yet.
[[nodiscard]] Status take_progress(const std::filesystem::path& training, const std::string& goal, std::int64_t stage_epochs,
                                   Trial& trial);

// The best first; those without a value last. A trial that came to a later stage goes before one that was left behind.
[[nodiscard]] std::vector<const Trial*> best_first(const std::vector<Trial>& trials, bool more);

// Of the trials that came to `stage`, whether this one goes on: the best share `keep`, at least one.
[[nodiscard]] std::vector<std::size_t> that_go_on(const std::vector<Trial>& trials, std::int64_t stage, double keep, bool more);

// Tables: for machines, and of the best for people.
[[nodiscard]] std::string trials_csv(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more);
[[nodiscard]] std::string trials_table(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more);

// What a drop-in of the training's configuration says for this trial: TOML, a table for each of its tables.
[[nodiscard]] std::string drop_in_of(const Sweep& sweep, const Trial& trial, const std::string& goal);

}  // namespace outcrop::sweep
