#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/data/dataset_list.hpp"
#include "trainer_host/trainer/evaluate/charts.hpp"
#include "trainer_host/trainer/evaluate/metrics.hpp"
#include "trainer_host/trainer/evaluate/reflections.hpp"
#include "trainer_host/trainer/evaluate/stage_files.hpp"

namespace outcrop::evaluate {

struct Scores {
  Score velocity;  // m/s
  Score gathers;   // pressure
  GatherError gather_error;
};

// One line of the result: how well something predicts the samples.
struct ScoredLine {
  std::string name;  // "float", "mean of the training data"
  // None where one sample would be compared with itself.
  std::optional<Scores> scores;
};

// What was generated from noise, beside data: a model that collapsed or that copies its training
// maps can still score well above.
struct GeneratedReport {
  std::size_t samples = 0;
  double diversity = 0.0;                // mean |difference| of two generated maps, m/s
  std::optional<double> data_diversity;  // the same of the evaluated maps, of two or more
  std::optional<double> nearest;         // mean over generated maps: distance to the nearest
                                         // training map, mean |difference| in m/s
  std::optional<double> closest;         // the smallest of these
  std::optional<double> data_nearest;    // the same mean for the evaluated maps
};

struct Evaluation {
  std::size_t samples = 0;
  std::vector<ScoredLine> variants;   // reconstructions: decode(encode(map))
  std::vector<ScoredLine> baselines;  // what a model that learned nothing reaches
  GeneratedReport generated;
  std::vector<GalleryRow> reconstructed_rows;
  std::vector<GalleryRow> generated_rows;
  std::vector<std::string> remarks;  // what a reader of the scores must know besides
};

struct EvaluationInputs {
  const data::Dataset& data;                    // never seen in training, or say so
  const data::DatasetList* training = nullptr;  // for its mean and for nearest maps
  const data::Dataset* other = nullptr;         // an extra row of the gallery: its first sample
  std::string other_label = "other data";   // beside that row
  std::size_t generated = 32;               // maps made from noise (forward's seeds 1, 2, …)
  std::size_t gallery_samples = 3;
  std::size_t gallery_generated = 3;
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// Encodes every map, decodes it by every variant as boards do (lite interpreter), and scores
// maps and gathers against the truth, beside baselines: the mean of the training data (of the
// data themselves where no training data are given), the reconstructions in permuted order, and
// a constant 3000 m/s with silence. Generated maps and gallery come from the first variant; beside
// a generated gather stands the one that AcousticSolver makes of its map. Of what holds values that
// are no finite numbers a remark says how many samples do; pictures mark them, and figures of what
// was generated leave them out.
[[nodiscard]] Result<Evaluation> evaluate(const StageFiles& files, const EvaluationInputs& inputs);

}  // namespace outcrop::evaluate
