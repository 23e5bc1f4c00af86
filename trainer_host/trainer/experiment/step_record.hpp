#pragma once

#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/experiment/inputs.hpp"

namespace outcrop::experiment {

// Where the results of an experiment lie.
//   experiment.json             whose results these are
//   <step>/config.json          what the step was made of and by; written first
//   <step>/training/            of steps that train: a run as `outcrop train` leaves it
//   <step>/training.log, step.log  what was said
//   <step>/stage<N>/            variants, plans, quantization.json, goldens, as a stage's end leaves them
//   <step>/qat_quantized_model.tflite, …, export.json  what it leaves for other runtimes
//   <step>/metrics.json, comparison.csv, *.png   its figures; metrics.json is written last
//   comparison/                 all steps beside each other
struct ResultPaths {
  explicit ResultPaths(std::filesystem::path results) : out(std::move(results)) {}

  std::filesystem::path out;
  [[nodiscard]] std::filesystem::path step(const std::string& name) const { return out / name; }
  [[nodiscard]] std::filesystem::path training(const std::string& name) const { return step(name) / "training"; }
  [[nodiscard]] std::filesystem::path metrics(const std::string& name) const { return step(name) / "metrics.json"; }
  [[nodiscard]] std::filesystem::path record(const std::string& name) const { return step(name) / "config.json"; }
  [[nodiscard]] std::filesystem::path comparison() const { return out / "comparison"; }
};

// Makes the folder of results, or takes up one of this experiment. already_exists where it holds anything else, or
// results of another experiment.
[[nodiscard]] Status claim_results(const Experiment& experiment, const std::filesystem::path& out);

// "" where it is no record.
[[nodiscard]] std::string recorded_digest(const std::filesystem::path& record);

// Whether the step's figures are there, and are of these inputs.
[[nodiscard]] bool is_current(const ResultPaths& paths, const Step& step, const Inputs& inputs);

// Before a step is made anew: writes its record, and removes what an earlier one left that is not training.
[[nodiscard]] Status begin_step(const ResultPaths& paths, const Experiment& experiment, const Step& step, const Inputs& inputs);

}  // namespace outcrop::experiment
