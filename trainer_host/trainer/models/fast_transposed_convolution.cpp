#include "trainer_host/trainer/models/fast_transposed_convolution.hpp"

#include <tuple>

namespace outcrop::models {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;

Tensor input_gradient(const Tensor& gradient, const Tensor& weight, at::IntArrayRef input_size,
                      at::IntArrayRef stride, at::IntArrayRef padding) {
  // Only the size of the input is looked at: one element, spread out, costs no memory.
  const Tensor input = torch::empty({1}, gradient.options()).expand(input_size);
  return std::get<0>(at::convolution_backward(gradient, input, weight, c10::nullopt, stride,
                                              padding, {1, 1}, false, {0, 0}, 1,
                                              {true, false, false}));
}

struct TransposedConvolution : torch::autograd::Function<TransposedConvolution> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight,
                        const Tensor& bias, std::vector<std::int64_t> stride,
                        std::vector<std::int64_t> padding) {
    std::array<std::int64_t, 2> size{};
    for (std::size_t i = 0; i < 2; ++i) {
      const auto axis = static_cast<std::int64_t>(i) + 2;
      size[i] = (x.size(axis) - 1) * stride[i] - 2 * padding[i] + weight.size(axis);
    }
    Tensor y =
        input_gradient(x, weight, {x.size(0), weight.size(1), size[0], size[1]}, stride, padding);
    y.add_(bias.view({1, -1, 1, 1}));
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    return y;
  }

  static torch::autograd::tensor_list backward(AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto stride = context->saved_data["stride"].toIntVector();
    const auto padding = context->saved_data["padding"].toIntVector();
    const Tensor gradient = gradients[0].contiguous();
    // The adjoint of an input gradient is the convolution itself; roles of input and output swap.
    Tensor x_gradient;
    if (context->needs_input_grad(0)) {
      x_gradient = at::conv2d(gradient, saved[1], {}, stride, padding);
    }
    const Tensor weight_gradient = std::get<1>(
        at::convolution_backward(saved[0], gradient, saved[1], c10::nullopt, stride, padding,
                                 {1, 1}, false, {0, 0}, 1, {false, true, false}));
    return {x_gradient, weight_gradient, gradient.sum({0, 2, 3}), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor fast_transposed_convolution(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                   std::array<std::int64_t, 2> stride,
                                   std::array<std::int64_t, 2> padding) {
  return TransposedConvolution::apply(x, weight, bias,
                                      std::vector<std::int64_t>(stride.begin(), stride.end()),
                                      std::vector<std::int64_t>(padding.begin(), padding.end()));
}

}  // namespace outcrop::models
