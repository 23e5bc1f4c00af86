#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "trainer_host/trainer/kinds/draws.hpp"
#include "trainer_host/trainer/kinds/text/sentences_for_tests.hpp"
#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {

// A model of some thousand weights, and sentences to train it on and to judge it by, in `folder`.
inline TextRecipe small_recipe(const std::filesystem::path& folder) {
  TextRecipe recipe;
  recipe.encoder = {1, 16, 2, 32, std::nullopt, std::nullopt, 24, Pooling::mean};
  recipe.pieces = 120;
  recipe.data = {.train = {folder}};
  return recipe;
}

inline Result<std::unique_ptr<TextTask>> small_task(const std::filesystem::path& folder, int layers = 1) {
  write_sentences(folder / "train", 32, 1);
  write_sentences(folder / "test", 10, 2);
  TextRecipe recipe = small_recipe(folder);
  recipe.encoder.layers = layers;
  OUTCROP_TRY(task, recipe.open(1));
  return std::unique_ptr<TextTask>(static_cast<TextTask*>(task.release()));
}

// The loss of the last batch.
inline double train_a_little(TextTask& task, int epochs) {
  const auto phase = task.phase(1);
  std::vector<torch::Tensor> weights;
  for (const auto& trained : phase.trained) weights.push_back(trained.tensor);
  torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(0.01));
  double last = 0.0;
  task.set_training(true);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto draws = kinds::draw_epoch(1, epoch, task.data().training, false);
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

}  // namespace outcrop::text
