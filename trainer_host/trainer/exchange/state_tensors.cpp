#include "trainer_host/trainer/exchange/state_tensors.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"

namespace outcrop::exchange {
namespace {

constexpr std::array<std::string_view, 3> of_training{"adam.", kinds::averaged_prefix, "qat."};
constexpr std::string_view kind_of_modules = "module";
constexpr std::string_view part_of_modules = "module.";

bool belongs_to_training(const std::string& name) {
  return std::any_of(of_training.begin(), of_training.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// "features.0" of a module that holds packed weights; "" without any.
std::string packed_in(const torch::jit::Module& module) {
  for (const auto& one : module.named_modules()) {
    for (const auto& attribute : one.value.named_attributes(/*recurse=*/false)) {
      if (!attribute.value.isObject() || !attribute.value.type()->annotation_str().starts_with("__torch__.torch.classes")) continue;
      return one.name.empty() ? attribute.name : one.name + "." + attribute.name;
    }
  }
  return "";
}

}  // namespace

Result<models::NamedTensors> state_in_file(const std::filesystem::path& file) {
  OUTCROP_TRY(read, models::read_model_file(file));
  OUTCROP_TRY(description, models::description_in(read.about));
  const bool brought = description.kind == kind_of_modules;
  models::NamedTensors state;
  for (auto& [name, tensor] : kinds::weights_in(read)) {
    if (belongs_to_training(name)) continue;
    const bool own = brought && name.starts_with(part_of_modules);
    state.emplace_back(own ? name.substr(part_of_modules.size()) : name, tensor);
  }
  return state;
}

Result<models::NamedTensors> state_in_module(const torch::jit::Module& module) {
  if (const std::string packed = packed_in(module); !packed.empty()) {
    return fail(ErrorCode::unsupported, "the weights of '" + packed +
                                            "' are packed for int8 kernels, which a state_dict does not hold; name the float "
                                            "variant, the stage's .weights or a checkpoint");
  }
  models::NamedTensors state = models::tensors_of(module);
  for (const auto& [name, tensor] : state) {
    if (tensor.scalar_type() == torch::kFloat || tensor.scalar_type() == torch::kLong) continue;
    return fail(ErrorCode::unsupported, "'" + name + "' is " + std::string(c10::toString(tensor.scalar_type())) +
                                            "; float32 and int64 are written (model.float() converts)");
  }
  return state;
}

Result<Bytes> to_safetensors(const models::NamedTensors& tensors) {
  if (tensors.empty()) return fail(ErrorCode::invalid_argument, "it holds no tensors");
  models::NamedTensors dense;
  std::vector<runtime::TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const auto& own = dense.emplace_back(name, tensor.detach().contiguous()).second;
    views.push_back({name, own.scalar_type() == torch::kLong ? runtime::DType::int64 : runtime::DType::float32,
                     own.sizes().vec(), BytesView(static_cast<const std::byte*>(own.data_ptr()), own.nbytes())});
  }
  OUTCROP_TRY(bytes, runtime::encode_tensor_header(views, {{"format", "pt"}}));
  for (const auto& view : views) bytes.insert(bytes.end(), view.data.begin(), view.data.end());
  return bytes;
}

}  // namespace outcrop::exchange
