#include "trainer_host/trainer/kinds/generator/gathers/map_gathers.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <memory>

#include "trainer_host/trainer/kinds/generator/gathers/coarse_wave.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/gather_net.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/kirchhoff.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

constexpr const char* clamped_source = R"(
def clamped(self, velocity: Tensor) -> Tensor:
    return torch.clamp(velocity, self.slowest, self.fastest)

def made(self, base: Tensor, answer: Tensor) -> Tensor:
    return base + self.whole(self.widened(answer))
)";
constexpr const char* shot_source = R"(
def shot(self, velocity: Tensor, columns: Tensor) -> Tensor:
    return self.wave.forward(velocity, columns)
)";
// `features` are the front's, or of a maker without one, anything. An input is narrowed, as reflections are small
// beside the direct wave and a step of 8 bits should not be as large as they are; what the network answers is widened
// again.
constexpr const char* corrected_source = R"(
def laid(self, features: Tensor, velocity: Tensor, columns: Tensor) -> Tuple[Tensor, Tensor]:
    base = self.log_scaled(self.wave.forward(velocity, columns))
    return torch.cat([self.phases(self.narrowed(base)), self.beside(velocity, columns)], 1), base
)";
constexpr const char* summed_source = R"(
def laid(self, features: Tensor, velocity: Tensor, columns: Tensor) -> Tuple[Tensor, Tensor]:
    return self.kirchhoff(features, velocity, columns), torch.zeros([1], dtype=6, layout=None, device=None, pin_memory=False)
)";

constexpr const char* wave_over_map = R"(
def gathers_over(self, velocity: Tensor) -> Tensor:
    return self.maker.shot(self.maker.clamped(velocity), self.columns)
)";
constexpr const char* corrected_over_map = R"(
def gathers_over(self, velocity: Tensor) -> Tensor:
    held = self.maker.clamped(velocity)
    laid, base = self.maker.laid(held, held, self.columns)
    return self.maker.pressure_of(self.maker.made(base, self.gather_net.forward(laid)))
)";
constexpr const char* summed_over_map = R"(
def gathers_over(self, velocity: Tensor) -> Tensor:
    held = self.maker.clamped(velocity)
    features = self.gather_front.forward(self.maker.imaged(held))
    laid, base = self.maker.laid(features, held, self.columns)
    return self.maker.pressure_of(self.maker.made(base, self.gather_net.forward(laid)))
)";

torch::jit::Module begin_around(const data::Geometry& geometry) {
  torch::jit::Module around("__torch__.outcrop.GatherMaker", std::make_shared<torch::jit::CompilationUnit>(),
                            /*shouldMangle=*/true);
  around.register_attribute("slowest", c10::FloatType::get(), static_cast<double>(geometry.slowest));
  around.register_attribute("fastest", c10::FloatType::get(), static_cast<double>(geometry.fastest));
  around.register_attribute("training", c10::BoolType::get(), false);
  register_phases(around, geometry);
  return around;
}

torch::jit::Module around_wave(GatherMaker maker, const CoarseGrid& grid, const data::Geometry& geometry) {
  torch::jit::Module around = begin_around(geometry);
  around.register_module("wave", make_coarse_wave(grid, geometry));
  around.define(phases_source() + clamped_source + shot_source +
                (maker == GatherMaker::wave_net ? corrected_source : ""));
  return around;
}

torch::jit::Module around_kirchhoff(const data::Geometry& geometry) {
  torch::jit::Module around = begin_around(geometry);
  register_kirchhoff(around, geometry);
  around.define(phases_source() + clamped_source + kirchhoff_source() + summed_source);
  return around;
}

// The network begins with silence: a correction of nothing.
models::TrainingForm make_net(std::int64_t inputs, const data::Geometry& geometry, std::uint64_t seed) {
  auto net = models::build_network("__torch__.outcrop.GatherNet", gather_net_layers(inputs, geometry),
                                   at::detail::createCPUGenerator(seed));
  const torch::NoGradGuard no_grad;
  net.attr("out").toModule().attr("weight").toTensor().mul_(0.1);
  return models::TrainingForm(std::move(net));
}

// By the running statistics, whatever mode it is in.
Tensor answer_evaluated(torch::jit::Module network, const Tensor& input) {
  const bool training = network.is_training();
  network.eval();
  Tensor answer = network.forward({input}).toTensor();
  network.train(training);
  return answer;
}

}  // namespace

Result<MapGathers> MapGathers::make(const GeneratorShape& shape, const data::Geometry& geometry,
                                    std::uint64_t seed) {
  if (shape.gathers == GatherMaker::kirchhoff) {
    MapGathers made(shape.gathers, around_kirchhoff(geometry));
    made.multiply_adds_ = kirchhoff_multiply_adds(geometry);
    made.front_.emplace(models::build_network("__torch__.outcrop.GatherFront", gather_front_layers(),
                                              at::detail::createCPUGenerator(seed + 1)));
    made.net_.emplace(make_net(kirchhoff_channels(), geometry, seed));
    return made;
  }
  auto grid = coarse_grid(geometry, static_cast<std::size_t>(shape.sponge));
  if (!grid) {
    return fail(grid.error().context("gathers = \"" + std::string(name_of(shape.gathers)) + "\" on " +
                                     data::describe(geometry)));
  }
  MapGathers made(shape.gathers, around_wave(shape.gathers, *grid, geometry));
  made.multiply_adds_ =
      static_cast<std::int64_t>(geometry.shots) * coarse_wave_multiply_adds(*grid, geometry);
  if (is_trained(shape.gathers)) {
    made.net_.emplace(make_net(phases::channels + beside_channels, geometry, seed));
  }
  return made;
}

std::vector<kinds::Part> MapGathers::parts() const {
  std::vector<kinds::Part> parts;
  if (front_) parts.push_back({"gather_front", front_->module()});
  if (net_) parts.push_back({"gather_net", net_->module()});
  return parts;
}

models::TrainingForm* MapGathers::form(const std::string& part) {
  if (part == "gather_front" && front_) return &*front_;
  if (part == "gather_net" && net_) return &*net_;
  return nullptr;
}

void MapGathers::train(bool on) {
  for (auto* network : {&front_, &net_}) {
    if (*network) (*network)->train(on);
  }
}

std::string MapGathers::source() const {
  if (front_) return summed_over_map;
  return net_ ? corrected_over_map : wave_over_map;
}

Tensor MapGathers::held(const Tensor& maps) const {
  return around_.get_method("clamped")({maps}).toTensor();
}

// Without fused graphs: they are compiled for each shape, and differentiated by rules of their own.
std::pair<Tensor, Tensor> MapGathers::laid(const Tensor& maps, const Tensor& columns) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  return laid_of(front_ ? front_->forward(around_.get_method("imaged")({maps}).toTensor()) : maps, maps, columns);
}

std::pair<Tensor, Tensor> MapGathers::laid_of(const Tensor& features, const Tensor& maps, const Tensor& columns) const {
  // A coarse grid has nothing to learn, and hundreds of steps to remember.
  const torch::AutoGradMode gradient(front_ && torch::GradMode::is_enabled());
  const c10::IValue laid = around_.get_method("laid")({features, maps, columns});
  return {laid.toTupleRef().elements()[0].toTensor(), laid.toTupleRef().elements()[1].toTensor()};
}

std::vector<Tensor> MapGathers::part_inputs(const Tensor& maps, const Tensor& columns) {
  const torch::NoGradGuard no_grad;
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  std::vector<Tensor> inputs;
  const Tensor in_bounds = held(maps);
  Tensor features = in_bounds;
  if (front_) {
    inputs.push_back(around_.get_method("imaged")({in_bounds}).toTensor());
    features = answer_evaluated(front_->module(), inputs.back());
  }
  if (net_) inputs.push_back(laid_of(features, in_bounds, columns).first);
  return inputs;
}

Tensor MapGathers::gathers(const Tensor& maps, const Tensor& columns) {
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  const Tensor in_bounds = held(maps);
  if (!net_) {
    const torch::NoGradGuard no_grad;
    const auto pressure = around_.get_method("shot")({in_bounds, columns});
    return around_.get_method("log_scaled")({pressure}).toTensor();
  }
  const auto [input, base] = laid(in_bounds, columns);
  return around_.get_method("made")({base, net_->forward(input)}).toTensor();
}

std::optional<std::string> MapGathers::first_non_finite(const Tensor& maps, const Tensor& columns) {
  const torch::NoGradGuard no_grad;
  const auto inputs = part_inputs(maps, columns);
  const auto makers = parts();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Tensor ignored;
    models::TrainingForm& network = i + 1 < inputs.size() ? *front_ : *net_;
    const auto layer = network.first_non_finite(inputs[i], ignored);
    if (layer) return "the output of " + makers[i].name + "." + *layer;
  }
  return std::nullopt;
}

}  // namespace outcrop::generator
