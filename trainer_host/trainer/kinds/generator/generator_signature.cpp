#include "trainer_host/trainer/kinds/generator/generator_signature.hpp"

namespace outcrop::generator {
namespace {

using messages::Input;
using messages::Method;
using messages::Output;
using messages::Range;
using messages::ScalarKind;
using messages::ScalarType;
using messages::TensorType;

constexpr double most_samples = 256;
constexpr double largest_seed = 9007199254740991.0;  // 2^53 - 1

std::vector<Input> sampled() {
  return {{"batch_size", ScalarType{ScalarKind::integer, {}, Range{1, most_samples}, "batch"}},
          {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, Range{0, largest_seed}, ""}}};
}

std::vector<Output> pair(const data::Geometry& geometry) {
  const auto size = [](std::size_t extent) { return static_cast<std::int64_t>(extent); };
  const std::int64_t columns = size(geometry.width);
  return {{"velocity",
           TensorType{"float32",
                      {"batch", 1, size(geometry.depth), columns},
                      "m/s",
                      Range{static_cast<double>(geometry.slowest), static_cast<double>(geometry.fastest)}},
           {}},
          {"seismic",
           TensorType{"float32",
                      {"batch", size(geometry.shots), size(geometry.times), columns},
                      "pressure",
                      {}},
           {}}};
}

}  // namespace

messages::Signature generator_signature(std::int64_t latent, const data::Geometry& geometry, std::int64_t steps) {
  const TensorType latents{"float32", {"batch", latent}, "", {}};
  Method forward{"forward", sampled(), pair(geometry)};
  Method decode{"decode", {{"latent", latents}}, pair(geometry)};
  Method sample{"latent", sampled(), {{"latent", latents, {}}}};
  // latent(batch_size, seed) has no default in the file.
  std::get<ScalarType>(sample.inputs[1].type).otherwise.reset();
  messages::Signature signature{"forward", {std::move(forward), std::move(decode), std::move(sample)}};
  if (steps == 0) return signature;
  const Input how_many{"steps", ScalarType{ScalarKind::integer, {}, Range{1, static_cast<double>(steps)}, ""}};
  const TensorType on_the_way{"float32", {"batch", steps, latent}, "", {}};
  signature.methods.push_back({"sample", {{"noise", latents}}, pair(geometry)});
  signature.methods.push_back({"refine", {{"noised", latents}, how_many}, pair(geometry)});
  signature.methods.push_back({"path", {{"noise", latents}}, {{"latents", on_the_way, {}}}});
  return signature;
}

std::map<std::string, messages::OutputBounds> generator_bounds() {
  return {{"velocity", {{1.5, 15.0}, {90.0, 1500.0}, {0.15, 15.0}}},
          {"seismic", {{0.04, 0.4}, {1.0, 40.0}, {0.004, 0.4}}}};
}

}  // namespace outcrop::generator
