#include "trainer_host/trainer/quantize/corrections/bias_correction.hpp"

#include <map>

#include "trainer_host/trainer/quantize/corrections/layer_inputs.hpp"

namespace outcrop::quantize {
namespace {

struct Mean {
  torch::Tensor sum;
  double rows = 0.0;
};

// Of each channel that comes out, over everything else.
torch::Tensor channel_means(const LayerCall& call, const torch::Tensor& y) {
  return call.operation == "linear" ? y.reshape({-1, y.size(-1)}).mean(0) : y.mean({0, 2, 3});
}

}  // namespace

std::size_t correct_biases(torch::jit::Module& network, const ArgumentRows& inputs, std::int64_t batch,
                           const RoundedWeight& rounded) {
  const torch::NoGradGuard no_gradient;
  std::map<std::string, Mean> means;
  visit_layer_inputs(network, inputs, batch, [&](const LayerCall& call, const torch::Tensor& x) {
    Mean& mean = means[call.name];
    const auto sum = x.sum(0, /*keepdim=*/true);
    mean.sum = mean.sum.defined() ? mean.sum + sum : sum;
    mean.rows += static_cast<double>(x.size(0));
  });
  std::size_t corrected = 0;
  for (LayerCall& call : layer_calls(network)) {
    const auto mean = means.find(call.name);
    const auto bias = call.bias();
    if (mean == means.end() || !bias) continue;
    const torch::Tensor weight = rounded(call);
    if (!weight.defined()) continue;
    // A layer is linear: what it makes of the mean is the mean of what it makes, borders included.
    const auto moved = call.run(mean->second.sum / mean->second.rows, weight - call.weight(), std::nullopt);
    call.set_bias(*bias - channel_means(call, moved));
    ++corrected;
  }
  return corrected;
}

}  // namespace outcrop::quantize
