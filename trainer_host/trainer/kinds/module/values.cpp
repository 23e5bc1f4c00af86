#include "trainer_host/trainer/kinds/module/values.hpp"

#include <algorithm>

#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"
#include "trainer_host/trainer/weights/weights_file.hpp"

namespace outcrop::user_module {

Status take_values(const std::filesystem::path& file, torch::jit::Module& module) {
  OUTCROP_TRY(weights, weights::read_weights(file));
  models::NamedTensors values;
  for (const auto& [name, tensor] : weights) values.emplace_back(name, models::torch_tensor(tensor));
  const models::NamedTensors targets = models::tensors_of(module);
  for (const auto& [name, value] : values) {
    const bool there = std::any_of(targets.begin(), targets.end(),
                                   [&](const auto& target) { return target.first == name; });
    if (there) continue;
    return fail(ErrorCode::invalid_data, file.string() + " has a tensor '" + name +
                                             "', and the module has none: are they of one model?");
  }
  if (const Status restored = models::restore(targets, values); !restored) {
    return fail(restored.error().context(file.string()));
  }
  return {};
}

}  // namespace outcrop::user_module
