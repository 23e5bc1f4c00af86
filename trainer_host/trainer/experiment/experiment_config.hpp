#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::experiment {

// One of the things that are tried: quantizations of the baseline's weights, or of weights that were trained on for int8.
struct Step {
  std::string name;                   // "static": the name of its folder
  std::vector<std::string> variants{};  // that it makes besides float, by their names (quantize/method.hpp)
  std::int64_t int8_epochs = 0;       // of training for int8 from the baseline's weights; 0: none
  std::vector<std::string> exports{};   // formats of other runtimes that its models are left in, too (exports.hpp)
  bool release = false;               // whether it makes a signed release, for boards to measure
  std::int64_t number = 1;            // among all steps: the stage that its files and its release are named by

  [[nodiscard]] bool trains() const;
};

inline constexpr const char* baseline_name = "baseline";

// The configuration of `outcrop experiment`.
struct Experiment {
  std::string name;                   // "fashion-mnist-cnn": a results folder belongs to one experiment
  std::filesystem::path file;
  std::filesystem::path config;       // of the training
  std::vector<std::string> settings;  // keys of it that are otherwise here, as `outcrop train --set` takes them
  std::filesystem::path out;
  std::int64_t stages = 1;            // that the baseline is trained for
  std::vector<Step> steps;            // the baseline first

  [[nodiscard]] const Step* find(const std::string& step) const;
  // invalid_argument names the step that is meant, perhaps, and all that there are.
  [[nodiscard]] Status check_step(const std::string& step) const;
};

// invalid_argument names file, line, key and what would be right.
[[nodiscard]] Result<Experiment> read_experiment(const std::filesystem::path& file);

}  // namespace outcrop::experiment
