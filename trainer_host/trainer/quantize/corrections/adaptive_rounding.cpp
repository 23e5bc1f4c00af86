#include "trainer_host/trainer/quantize/corrections/adaptive_rounding.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "trainer_host/trainer/quantize/corrections/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

// The paper's: shares are stretched beyond 0 and 1 so that they can get there.
constexpr double stretched_low = -0.1;
constexpr double stretched_high = 1.1;
constexpr double regularization = 1.0;  // of all weights, beside a loss of 1 for rounding to nearest
constexpr double free_share = 0.2;  // of the iterations, before shares are pushed to 0 or 1
constexpr double learning_rate = 3e-2;  // for hundreds of iterations where the paper has ten thousand

Tensor share_of(const Tensor& v) {
  return (torch::sigmoid(v) * (stretched_high - stretched_low) + stretched_low).clamp(0.0, 1.0);
}

Tensor scales_like(const Tensor& scales, const Tensor& weight, std::optional<std::int64_t> axis) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
  if (axis) shape[static_cast<std::size_t>(*axis)] = -1;
  return scales.reshape(shape);
}

double answer_error(const LayerCall& call, const Tensor& inputs, const Tensor& off) {
  return call.run(inputs, off, std::nullopt).square().mean().item<double>();
}

// Weights in codes.
Tensor rounded(const LayerCall& call, const Tensor& inputs, const Tensor& scales, const AdaptiveRounding& how,
               Clock::time_point end, at::Generator random) {
  const Tensor weight = call.weight();
  const Tensor steps = weight / scales;
  const Tensor nearest = steps.round().clamp(-127, 127);
  const Tensor below = steps.floor();
  const Tensor share = (steps - below).clamp(0.01, 0.99);
  Tensor v = -torch::log((stretched_high - stretched_low) / (share - stretched_low) - 1.0);
  v.requires_grad_(true);
  torch::optim::Adam adam({v}, torch::optim::AdamOptions(learning_rate));
  // In units of what rounding to nearest costs, so that one regularization serves all layers.
  const double unit = std::max(answer_error(call, inputs, nearest * scales - weight), 1e-30);
  const double each = regularization / static_cast<double>(weight.numel());
  for (int i = 0; i < how.iterations; ++i) {
    if (Clock::now() > end) return nearest;
    const auto rows = torch::randint(0, inputs.size(0), {std::min(how.batch, inputs.size(0))}, random, torch::kLong);
    adam.zero_grad();
    const Tensor up = share_of(v);
    const Tensor off = (below + up).clamp(-127, 127) * scales - weight;
    Tensor loss = call.run(inputs.index_select(0, rows), off, std::nullopt).square().mean() / unit;
    const double passed = (i / static_cast<double>(how.iterations) - free_share) / (1.0 - free_share);
    if (passed > 0.0) {
      const double power = 2.0 + 18.0 * 0.5 * (1.0 + std::cos(passed * M_PI));  // from 20 to 2
      loss = loss + each * (1.0 - (2.0 * up - 1.0).abs().pow(power)).sum();
    }
    loss.backward();
    adam.step();
  }
  const torch::NoGradGuard no_gradient;
  const Tensor found = (below + (share_of(v) > 0.5).to(torch::kFloat)).clamp(-127, 127);
  return answer_error(call, inputs, found * scales - weight) < unit ? found : nearest;
}

}  // namespace

std::map<std::string, Tensor> round_adaptively(torch::jit::Module& network, const ArgumentRows& inputs,
                                               const AdaptiveRounding& how, const ScaleAxis& axis_of,
                                               const std::function<bool(const LayerCall&)>& skip) {
  std::map<std::string, std::vector<Tensor>> seen;
  {
    const torch::NoGradGuard no_gradient;
    visit_layer_inputs(network, inputs, how.batch, [&](const LayerCall& call, const Tensor& x) {
      if (!skip(call)) seen[call.name].push_back(x.detach().clone());
    });
  }
  const auto end = Clock::now() + how.longest;
  const at::Generator random = at::detail::createCPUGenerator(1);
  std::map<std::string, Tensor> all_scales;
  double done = 0.0;
  for (LayerCall& call : layer_calls(network)) {
    const auto found = seen.find(call.name);
    if (found == seen.end()) continue;
    if (how.progress) how.progress(call.name, done / static_cast<double>(seen.size()));
    const auto axis = axis_of(call);
    const Tensor scales = choose_weight_scales(call.weight(), axis);
    const Tensor shaped = scales_like(scales, call.weight(), axis);
    const torch::AutoGradMode gradient(true);
    call.set_weight(rounded(call, torch::cat(found->second), shaped, how, end, random) * shaped);
    all_scales[call.name] = scales;
    found->second.clear();
    done += 1.0;
  }
  return all_scales;
}

}  // namespace outcrop::quantize
