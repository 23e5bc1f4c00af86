#include "trainer_host/trainer/models/plain_tensor.hpp"

#include <cstring>

namespace outcrop::models {

runtime::Tensor plain_tensor(const std::string& name, const torch::Tensor& tensor) {
  const auto dense = tensor.contiguous();
  const auto count = static_cast<std::size_t>(dense.numel());
  if (dense.scalar_type() == torch::kLong) {
    return runtime::Tensor::of_integers(name, dense.sizes().vec(),
                                        {dense.data_ptr<std::int64_t>(), count});
  }
  return runtime::Tensor::of_floats(name, dense.sizes().vec(), {dense.data_ptr<float>(), count});
}

torch::Tensor torch_tensor(const runtime::Tensor& tensor) {
  const auto type = tensor.dtype == runtime::DType::int64 ? torch::kLong : torch::kFloat;
  auto copy = torch::empty(tensor.shape, type);
  if (!tensor.data.empty()) std::memcpy(copy.data_ptr(), tensor.data.data(), tensor.data.size());
  return copy;
}

}  // namespace outcrop::models
