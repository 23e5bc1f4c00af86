#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::user_module {

// What a module is asked and what it should answer, row by row along the first dimension of every
// tensor (float32 or int64); all in memory.
struct Rows {
  std::vector<torch::Tensor> inputs;  // [N, …] for each argument
  torch::Tensor target;               // [N, …]; undefined where the data have none

  [[nodiscard]] std::size_t size() const {
    return inputs.empty() ? 0 : static_cast<std::size_t>(inputs.front().size(0));
  }
  [[nodiscard]] bool has_target() const { return target.defined(); }
  [[nodiscard]] Rows slice(std::size_t first, std::size_t count) const;  // at most what there is
  [[nodiscard]] Rows chosen(std::span<const kinds::Draw> draws) const;
};

struct SplitRows {
  Rows training;  // none where `only_scored` data name none
  Rows held_out;  // may be none
  kinds::DataSummary summary;
};

// Reads folders. Each holds, for every name among `arguments`, a tensor of its rows, and "target"
// where anything is to be learned or judged: as <name>.npy, or all of them in rows.safetensors.
// not_found names what is missing, invalid_data what does not fit or is not finite, and where;
// invalid_argument where rows that are held out are trained on, too.
[[nodiscard]] Result<SplitRows> open_rows(const kinds::DataPlaces& places,
                                          const std::vector<std::string>& arguments);

}  // namespace outcrop::user_module
