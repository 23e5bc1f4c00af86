#include "trainer_host/trainer/kinds/module/wanted_shape.hpp"

#include <sstream>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/models/graph_layers.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;

// What a layer with this weight takes; "" where that says nothing.
std::string taken_by(const models::GraphLayer& layer, const Tensor& weight) {
  const bool transposed = layer.type.find("Transpose") != std::string::npos;
  const auto channels = std::to_string(transposed ? weight.size(0) : weight.size(1) * layer.groups);
  if (layer.type.starts_with("conv.")) {
    return "[rows, " + channels + (layer.lifted || layer.type.ends_with("1d") ? ", length]" : ", height, width]");
  }
  if (layer.type == "linear.Linear") return "[rows, ..., " + channels + "]";
  if (layer.type.ends_with("Embedding")) return "[rows, ...], int64 from 0 to " + std::to_string(weight.size(0) - 1);
  if (layer.type.ends_with("LSTM") || layer.type.ends_with("GRU")) return "rows of steps of " + channels + " values";
  return {};
}

std::string first_layer_in_words(const torch::jit::Module& module) {
  const auto graph = models::inlined_graph(module, "forward");
  for (torch::jit::Node* node : graph->nodes()) {
    if (!models::is_layer(node)) continue;
    const models::GraphLayer layer = models::graph_layer(node, module);
    if (layer.tensors.empty() || layer.tensors.front().second.dim() < 2) return {};
    const std::string takes = taken_by(layer, layer.tensors.front().second);
    if (takes.empty()) return {};
    const std::string name = layer.path.substr(0, layer.path.rfind('.'));
    return "; its first layer, '" + name + "' (" + layer.type.substr(layer.type.rfind('.') + 1) + "), takes " + takes;
  }
  return {};
}

}  // namespace

std::string shapes_in_words(const ForeignModule& foreign, const Rows& rows, const std::filesystem::path& folder) {
  std::vector<std::string> shapes;
  for (std::size_t i = 0; i < rows.inputs.size(); ++i) {
    std::ostringstream text;
    text << foreign.arguments.at(i) << " " << rows.inputs[i].sizes();
    shapes.push_back(text.str());
  }
  std::string words = "these rows are " + join(shapes) + " (in " + folder.string() + ")";
  try {
    words += first_layer_in_words(foreign.module);
  } catch (const std::exception&) {  // weights that are computed: nothing is known
  }
  return words;
}

}  // namespace outcrop::user_module
