#include "trainer_host/trainer/quantize/argument_rows.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>

#include "trainer_host/trainer/models/module_tensors.hpp"

namespace outcrop::quantize {

ArgumentRows ArgumentRows::slice(std::int64_t first, std::int64_t end) const {
  std::vector<torch::Tensor> some;
  for (const torch::Tensor& argument : arguments_) some.push_back(argument.slice(0, first, std::min(end, size())));
  return some;
}

ArgumentRows ArgumentRows::at(const torch::Tensor& index) const {
  std::vector<torch::Tensor> some;
  for (const torch::Tensor& argument : arguments_) some.push_back(argument.index_select(0, index).contiguous());
  return some;
}

ArgumentRows ArgumentRows::evenly_chosen(std::int64_t most) const {
  const auto count = std::min(size(), most);
  return at(torch::arange(count, torch::kLong).mul(size()).div(count, "floor"));
}

std::vector<torch::Tensor> answers_to(const ArgumentRows& rows, torch::jit::Module network, std::int64_t batch,
                                      double limit) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);  // optimizing for a few calls costs more than it brings
  std::vector<std::vector<torch::Tensor>> batches;  // of each output
  for (std::int64_t row = 0; row < rows.size(); row += batch) {
    const auto outputs = models::tensors_in(network.forward(rows.slice(row, row + batch).values()));
    batches.resize(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const torch::Tensor& output = outputs[i];
      const torch::Tensor floats = output.is_quantized() ? output.dequantize() : output;
      batches[i].push_back(floats.to(torch::kFloat).clamp(-limit, limit));
    }
  }
  std::vector<torch::Tensor> answers;
  for (const auto& of_output : batches) answers.push_back(torch::cat(of_output));
  return answers;
}

}  // namespace outcrop::quantize
