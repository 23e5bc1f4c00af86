#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"
#include "trainer_host/trainer/kinds/segmentation/confusion.hpp"
#include "trainer_host/trainer/kinds/segmentation/labelled_samples.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::segmentation {

// How well something tells the classes of samples.
struct Told {
  std::string name;  // "float", "thresholds on velocity"
  Confusion confusion;
};

// What a model answers for all samples: [N, rows, columns], int64. diverged where a probability is
// not finite.
[[nodiscard]] Result<torch::Tensor> classes_told(models::CallableModel& model,
                                                 const LabelledSamples& samples);

// What tells the classes of `samples` without having learned from gathers, each fitted to `training`
// (to the samples themselves, and called so, where that is empty): the most frequent class of each
// cell's place, the most frequent class of all, and the most frequent class of each of 30 steps of
// velocity between the bounds, which is the best that thresholds on it can do.
[[nodiscard]] std::vector<Told> baselines(const LabelledSamples& training,
                                          const LabelledSamples& samples, std::int64_t classes,
                                          const earth::VelocityBounds& bounds = {});

}  // namespace outcrop::segmentation
