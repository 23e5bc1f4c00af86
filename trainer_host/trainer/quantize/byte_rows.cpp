#include "trainer_host/trainer/quantize/byte_rows.hpp"

#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <tuple>

#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/operator_scope.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;

void look_up_packed(torch::jit::Node* node, Module& module, const std::string& name, const Tensor& table) {
  const std::string attribute = "rows_of_" + name;
  if (!module.hasattr(attribute)) {
    const c10::IValue packed = packed_byte_rows(table);
    module.register_attribute(attribute, packed.type(), packed);
  }
  torch::jit::Graph& graph = *node->owningGraph();
  const auto symbol = [](const char* operation) { return c10::Symbol::fromQualString(operation); };
  const torch::jit::WithInsertPoint before(node);
  auto* packed = graph.insertGetAttr(graph.inputs().at(0), attribute);
  auto* ids = node->input(1);
  auto* flat = graph.insert(symbol("aten::reshape"), {ids, std::vector<std::int64_t>{-1}});
  auto* rows = graph.insert(symbol("quantized::embedding_byte"), {packed, flat, false});
  auto* shape = graph.insert(symbol("aten::add"), {graph.insert(symbol("aten::size"), {ids}),
                                                   std::vector<std::int64_t>{table.size(1)}});
  node->output()->replaceAllUsesWith(graph.insert(symbol("aten::reshape"), {rows, shape}));
  node->destroy();
}

}  // namespace

c10::IValue packed_byte_rows(const Tensor& table) {
  const Tensor weight = table.detach().contiguous();
  const Tensor low = std::get<0>(weight.min(1)).clamp_max(0);
  const Tensor scale = ((std::get<0>(weight.max(1)).clamp_min(0) - low) / 255).clamp_min(1e-12);
  const Tensor codes = torch::quantize_per_channel(weight, scale, -low / scale, 0, torch::kQUInt8);
  return models::call_operator("quantized::embedding_bag_prepack", {codes});
}

void pack_tables(Module& module, const std::map<std::string, Tensor>& tables) {
  std::map<std::string, Tensor> waiting = tables;
  const auto graph = module.get_method("forward").graph();
  models::visit_all(graph->block(), [&](torch::jit::Node* node) {
    if (node->kind().toQualString() != std::string("aten::embedding")) return;
    const auto found = models::fixed_tensor(node->input(0), module);
    if (!found) return;
    const auto in = [&](const std::map<std::string, Tensor>& some) {
      return std::find_if(some.begin(), some.end(), [&](const auto& one) {
        return found->value.sizes() == one.second.sizes() && torch::equal(found->value, one.second);
      });
    };
    const auto fresh = in(waiting);
    const auto table = fresh == waiting.end() ? in(tables) : tables.find(fresh->first);
    if (table == tables.end()) return;
    look_up_packed(node, module, table->first, table->second);
    waiting.erase(table->first);
  });
  TORCH_CHECK(waiting.empty(), "the table '", waiting.begin()->first, "' is not looked up by its own values");
}

}  // namespace outcrop::quantize
