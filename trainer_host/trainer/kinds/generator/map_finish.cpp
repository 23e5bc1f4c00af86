#include "trainer_host/trainer/kinds/generator/map_finish.hpp"

#include <memory>
#include <string>

#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

// What lies beyond a border is as the cell at it: by pieces, which every format that models are exported to can say.
// Squares are taken about the map's mean: in m/s they would leave a float no digits for the variance of a flat window.
constexpr const char* pass_source = R"(
def around(self, x: Tensor, rows: int, columns: int) -> Tensor:
    above = x[:, :, :rows, :columns] + x[:, :, :rows, 2:]
    return above + x[:, :, 2:, :columns] + x[:, :, 2:, 2:]

def once(self, x: Tensor) -> Tensor:
    tall = torch.cat([x[:, :, :1], x[:, :, :1], x, x[:, :, -1:], x[:, :, -1:]], 2)
    left, right = tall[:, :, :, :1], tall[:, :, :, -1:]
    wide = torch.cat([left, left, tall, right, right], 3)
    mean = torch.avg_pool2d(wide, [3, 3], [1, 1])
    variance = torch.avg_pool2d(wide * wide, [3, 3], [1, 1]) - mean * mean
    weight = torch.reciprocal(torch.square(torch.clamp_min(variance, 0.0) + 100.0))
    rows, columns = x.size(2), x.size(3)
    return self.around(mean * weight, rows, columns) / self.around(weight, rows, columns)
)";

// One pass after the other is written out: other formats have no loops.
std::string filter_source(std::int64_t passes) {
  std::string source = std::string(pass_source) +
                       "\ndef forward(self, maps: Tensor) -> Tensor:\n"
                       "    middle = torch.mean(maps, [2, 3], True)\n"
                       "    x = maps - middle\n";
  for (std::int64_t i = 0; i < passes; ++i) source += "    x = self.once(x)\n";
  return source + "    return torch.clamp(x + middle, self.slowest, self.fastest)\n";
}

constexpr std::int64_t of_a_cell_and_pass = 2 * 9 + 3 + 8 + 1;  // two means, variance and weight, eight sums, a quotient

}  // namespace

MapFinish::MapFinish(const earth::VelocityBounds& bounds, std::int64_t sharpening) : bounds_(bounds), passes_(sharpening) {
  TORCH_CHECK(passes_ >= 0 && passes_ <= most_sharpening, "sharpening takes 0 to ", most_sharpening, " passes, not ", passes_);
  if (passes_ == 0) return;
  filter_.emplace("__torch__.outcrop.Sharpening", std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  filter_->register_attribute("slowest", c10::FloatType::get(), bounds_.slowest);
  filter_->register_attribute("fastest", c10::FloatType::get(), bounds_.fastest);
  filter_->register_attribute("training", c10::BoolType::get(), false);
  filter_->define(filter_source(passes_));
}

torch::Tensor MapFinish::maps(const torch::Tensor& normalized) const {
  return sharpened(denormalize_velocity(normalized, bounds_));
}

torch::Tensor MapFinish::sharpened(const torch::Tensor& maps) const {
  if (!filter_) return maps;
  // Without fused graphs: they are compiled for each shape, and differentiated by rules of their own.
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  return filter_->get_method("forward")({maps}).toTensor();
}

std::optional<torch::jit::Module> MapFinish::filter() const {
  return filter_ ? std::optional(filter_->deepcopy()) : std::nullopt;
}

std::int64_t MapFinish::multiply_adds(std::int64_t cells) const {
  return passes_ * cells * of_a_cell_and_pass;
}

}  // namespace outcrop::generator
