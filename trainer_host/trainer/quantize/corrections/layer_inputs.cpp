#include "trainer_host/trainer/quantize/corrections/layer_inputs.hpp"

#include <map>

#include "trainer_host/trainer/quantize/operator_counter.hpp"

namespace outcrop::quantize {

void visit_layer_inputs(const torch::jit::Module& network, const ArgumentRows& inputs, std::int64_t batch,
                        const std::function<void(const LayerCall& call, const torch::Tensor& x)>& visit) {
  // Calls are known by the weights that they use.
  std::map<const void*, const LayerCall*> by_weight;
  const std::vector<LayerCall> calls = layer_calls(network);
  for (const LayerCall& call : calls) by_weight[call.weight().data_ptr()] = &call;
  for (std::int64_t row = 0; row < inputs.size(); row += batch) {
    OperatorCounter counter({"aten::conv2d", "aten::conv_transpose2d", "aten::linear"});
    torch::jit::Module(network).forward(inputs.slice(row, row + batch).values());
    for (const OperatorCounter::Call& executed : counter.finish()) {
      const auto found = by_weight.find(executed.inputs[1].toTensor().data_ptr());
      if (found == by_weight.end()) continue;
      const torch::Tensor x = executed.inputs[0].toTensor();
      visit(*found->second, found->second->operation == "linear" ? x.reshape({-1, x.size(-1)}) : x);
    }
  }
}

}  // namespace outcrop::quantize
