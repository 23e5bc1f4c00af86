#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"
#include "trainer_host/trainer/kinds/classifier/stripes_for_tests.hpp"
#include "trainer_host/trainer/kinds/draws.hpp"

namespace outcrop::classifier {

// A classifier of some hundred weights, and stripes to train it on and to judge it by, in `folder`.
inline ClassifierRecipe small_recipe(const std::filesystem::path& folder) {
  ClassifierRecipe recipe;
  recipe.widths = {4, 8};
  recipe.hidden = 16;
  recipe.shift = 1;
  recipe.classes = {"across", "down", "squares"};
  recipe.data = {.train = {folder}};
  return recipe;
}

inline Result<std::unique_ptr<ClassifierTask>> small_task(const std::filesystem::path& folder) {
  OUTCROP_CHECK(write_stripes(folder, "train", 96, 1));
  OUTCROP_CHECK(write_stripes(folder, "t10k", 30, 2));
  OUTCROP_TRY(task, small_recipe(folder).open(1));
  return std::unique_ptr<ClassifierTask>(static_cast<ClassifierTask*>(task.release()));
}

// The loss of the last batch.
inline double train_a_little(ClassifierTask& task, int epochs) {
  const auto phase = task.phase(1);
  std::vector<torch::Tensor> weights;
  for (const auto& trained : phase.trained) weights.push_back(trained.tensor);
  torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(0.01));
  double last = 0.0;
  task.set_training(true);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto draws = kinds::draw_epoch(1, epoch, task.data().training, true);
    for (std::size_t batch = 0; batch < 6; ++batch) {
      optimizer.zero_grad();
      const auto loss = task.loss(phase, kinds::batch_of(draws, batch, 6));
      loss.total.backward();
      optimizer.step();
      last = *loss.parts.at(0);
    }
  }
  task.set_training(false);
  return last;
}

}  // namespace outcrop::classifier
