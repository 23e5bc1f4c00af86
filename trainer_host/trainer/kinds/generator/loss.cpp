#include "trainer_host/trainer/kinds/generator/loss.hpp"

#include <ATen/Parallel.h>

#include <vector>

#include "trainer_host/trainer/models/elementwise.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;

// One pass over memory gives value and derivative: as a dozen tensor operations, the loss of the
// gathers took a fifth of a training step. Rows are summed in order whatever the threads.
struct RowWeightedLoss : torch::autograd::Function<RowWeightedLoss> {
  static Tensor forward(AutogradContext* context, const Tensor& prediction, const Tensor& truth,
                        const Tensor& row_weight) {
    const Tensor values = prediction.contiguous();
    const Tensor expected = truth.contiguous();
    const Tensor weights = row_weight.contiguous();
    const std::int64_t rows = weights.numel();
    const std::int64_t columns = values.numel() / rows;
    TORCH_CHECK(values.sizes() == expected.sizes() && rows * columns == values.numel(),
                "prediction ", values.sizes(), ", truth ", expected.sizes(), " and weights ",
                weights.sizes(), " do not fit");
    const float* weight = weights.data_ptr<float>();
    double total_weight = 0.0;
    for (std::int64_t row = 0; row < rows; ++row) total_weight += weight[row];
    const double share = 1.0 / (std::max(total_weight, 1.0) * static_cast<double>(columns));

    Tensor slope = torch::empty_like(values);
    std::vector<double> sums(static_cast<std::size_t>(rows));
    const float* p = values.data_ptr<float>();
    const float* t = expected.data_ptr<float>();
    float* s = slope.data_ptr<float>();
    at::parallel_for(0, rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = row * columns;
        const auto scale = static_cast<float>(weight[row] * share);
        sums[static_cast<std::size_t>(row)] =
            weight[row] * models::absolute_plus_squared(p + at, t + at, s + at, columns, scale);
      }
    });
    double loss = 0.0;
    for (const double sum : sums) loss += sum;
    context->save_for_backward({slope});
    return torch::tensor(static_cast<float>(loss * share));
  }

  static torch::autograd::tensor_list backward(AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const Tensor slope = context->get_saved_variables()[0];
    return {slope * gradients[0], Tensor(), Tensor()};
  }
};

}  // namespace

Tensor velocity_loss(const Tensor& prediction, const Tensor& truth, double edge_weight) {
  auto loss = RowWeightedLoss::apply(prediction, truth, torch::ones({prediction.size(0)}));
  if (edge_weight == 0.0) return loss;
  const Tensor error = prediction - truth;
  const Tensor down = error.slice(2, 1) - error.slice(2, 0, -1);
  const Tensor across = error.slice(3, 1) - error.slice(3, 0, -1);
  return loss + edge_weight * (down.abs().mean() + across.abs().mean());
}

Tensor gather_loss(const Tensor& prediction, const Tensor& truth, const Tensor& shot_weight) {
  return RowWeightedLoss::apply(prediction, truth, shot_weight);
}

}  // namespace outcrop::generator
