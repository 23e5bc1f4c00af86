#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/evaluation.hpp"
#include "trainer_host/trainer/kinds/generator/distances/set_distance.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/generator/physics.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/gallery.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/scores/reflections.hpp"

namespace outcrop::generator {

struct PairScores {
  Score velocity;  // m/s
  Score gathers;   // pressure
  GatherError gather_error;
  double in_layer = 0.0;  // share_in_layer()
};

// One line of the result: how well something predicts the samples.
struct ComparedLine {
  std::string name;  // "float", "mean of the training data"
  // None where one sample would be compared with itself.
  std::optional<PairScores> scores;
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
  std::optional<SetDistance> distance;   // of generated maps from real ones
  // Of real maps behind encoder and decoder: what no way of drawing latents makes up for.
  std::optional<SetDistance> reconstructed_distance;
  // Of maps that the Gaussian's latents become by the same decoders, where a diffusion draws latents.
  std::optional<SetDistance> gaussian_distance;
  std::optional<double> fine;            // fine_share(), mean over generated maps
  double data_fine = 0.0;                // the same of the evaluated maps
};

// How near a variant's own way from noise to a map comes to the first variant's, at the same noise.
struct EqualNoise {
  std::string variant;
  std::size_t maps = 0;
  double ssim = 0.0;
  double mae = 0.0;  // m/s
};

// Of generated pairs, whether they obey the wave equation.
struct PhysicsReport {
  std::vector<PhysicsLine> variants;   // at the same latents; each beside F of the maps that it made itself
  std::vector<PhysicsLine> baselines;  // what says nothing of a map, beside F of the first variant's maps
};

struct Comparison {
  std::size_t samples = 0;
  std::vector<ComparedLine> variants;   // reconstructions: decode(encode(map))
  std::vector<ComparedLine> baselines;  // what a model that learned nothing reaches
  GeneratedReport generated;
  PhysicsReport physics;
  std::vector<GalleryRow> reconstructed_rows;
  std::vector<GalleryRow> generated_rows;
  // Where a diffusion draws latents.
  std::vector<EqualNoise> equal_noise;  // of all variants but the first
  std::vector<FilmStrip> strips;        // of the first variant: what its steps take for the map
  std::vector<std::string> strip_headings;
  std::vector<std::string> remarks;  // what a reader of the scores must know besides
};

// What is shown besides the figures.
struct ComparisonOptions {
  earth::Samples other{};                  // one sample for an extra row of the gallery, or none
  std::string other_label = "other data";  // beside that row
  std::size_t generated = 32;              // maps made from noise (forward's seeds 1, 2, …)
  std::size_t gallery_samples = 3;
  std::size_t gallery_generated = 3;
  std::size_t gallery_strips = 2;
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// Encodes every held-out map, decodes it by every variant, and scores maps and gathers against the
// truth, beside baselines: the mean of the training data (of the held-out data themselves where the
// task has no training samples), the reconstructions in permuted order, and the middle of the bounds of the maps (3000 m/s)
// with silence. Generated maps and gallery come from the first variant; beside a generated gather stands
// the one that AcousticSolver makes of its map. Of what holds values that are no finite numbers a
// remark says how many samples do; pictures mark them, and figures of what was generated leave them
// out. Of the first 64 generated pairs of every variant it says how far they are from the wave equation.
[[nodiscard]] Result<Comparison> compare(GeneratorTask& task,
                                         const std::vector<kinds::EvaluatedVariant>& variants,
                                         const ComparisonOptions& options);

}  // namespace outcrop::generator
