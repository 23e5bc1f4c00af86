#include "trainer_host/trainer/kinds/segmentation/compose.hpp"

#include <string>

namespace outcrop::segmentation {
namespace {

// An int8 kernel refuses an empty batch, hence the row that is answered and dropped; a code cannot be
// NaN, hence `spoilt`: 0 for each finite row, else NaN.
constexpr const char* before_network = R"(
def forward(self, velocity: Tensor, energy: Tensor) -> Tensor:
    rows = velocity.size(0)
    x = torch.cat([(velocity - self.middle) * self.scale, energy], 1)
    if rows == 0:
        x = torch.zeros([1, 2, velocity.size(2), velocity.size(3)], dtype=6, layout=None, device=None, pin_memory=False)
    spoilt = torch.sum(x * 0.0, [1, 2, 3])
)";
constexpr const char* after_network = R"(
    p = torch.softmax(torch.permute(y, [0, 2, 3, 1]), -1).contiguous()
    if float(torch.sum(spoilt)) != 0.0:
        p = p + torch.reshape(spoilt, [-1, 1, 1, 1])
    return p[:rows]
)";

}  // namespace

torch::Tensor network_input(const torch::Tensor& velocity, const torch::Tensor& energy,
                            const earth::VelocityBounds& bounds) {
  return torch::cat({(velocity - bounds.middle()) / bounds.half_range(), energy}, 1);
}

torch::jit::Module compose_segmentation(kinds::PartForm network,
                                        const earth::VelocityBounds& bounds) {
  torch::jit::Module model("__torch__.outcrop.Segmentation",
                           std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  model.register_module("network", std::move(network.module));
  model.register_attribute("middle", c10::FloatType::get(), bounds.middle());
  model.register_attribute("scale", c10::FloatType::get(), 1.0 / bounds.half_range());
  model.register_attribute("training", c10::BoolType::get(), false);
  const std::string call = network.codes ? "torch.dequantize(self.network.forward(x))"
                                         : "self.network.forward(x)";
  model.define(before_network + ("    y = " + call) + after_network);
  model.eval();
  return model;
}

messages::Signature segmentation_signature(const SegmentationShape& shape,
                                           const earth::VelocityBounds& bounds) {
  using messages::Range;
  using messages::TensorType;
  const auto [rows, columns] = shape.size;
  const TensorType velocity{"float32", {"batch", 1, rows, columns}, "m/s",
                            Range{bounds.slowest, bounds.fastest}};
  const TensorType energy{"float32", {"batch", 1, rows, columns}, "", {}};
  const TensorType probability{
      "float32", {"batch", rows, columns, shape.classes}, "", Range{0, 1}};
  return {"forward",
          {{"forward",
            {{"velocity", velocity}, {"energy", energy}},
            {{"probability", probability, messages::Score::label}}}}};
}

}  // namespace outcrop::segmentation
