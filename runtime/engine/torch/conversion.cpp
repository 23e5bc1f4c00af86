#include "runtime/engine/torch/conversion.hpp"

#include <cstring>

#include <ATen/ATen.h>

namespace outcrop::runtime {
namespace {

Result<at::Tensor> to_torch(const Tensor& tensor) {
  OUTCROP_CHECK(check_size(tensor));
  at::Tensor copy =
      at::empty(tensor.shape, tensor.dtype == DType::float32 ? at::kFloat : at::kLong);
  if (!tensor.data.empty()) {
    std::memcpy(copy.data_ptr(), tensor.data.data(), tensor.data.size());
  }
  return copy;
}

Result<Tensor> from_torch(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.is_quantized() ||
      (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kLong)) {
    return fail(ErrorCode::invalid_data,
                std::string("the model gave a tensor of ") +
                    (tensor.defined() ? c10::toString(tensor.scalar_type()) : "nothing") +
                    "; float32 and int64 are understood");
  }
  const at::Tensor dense = tensor.contiguous();
  Tensor copy;
  copy.dtype = tensor.scalar_type() == at::kFloat ? DType::float32 : DType::int64;
  copy.shape = dense.sizes().vec();
  copy.data.resize(dense.nbytes());
  if (!copy.data.empty()) std::memcpy(copy.data.data(), dense.data_ptr(), copy.data.size());
  OUTCROP_CHECK(check_size(copy));
  return copy;
}

tl::unexpected<Error> no_tensors() {
  return fail(ErrorCode::invalid_data,
              "the model gave something else than tensors or a tuple or list of tensors");
}

}  // namespace

Result<c10::IValue> to_ivalue(const Value& value) {
  if (const auto* tensor = std::get_if<Tensor>(&value)) {
    OUTCROP_TRY(copy, to_torch(*tensor));
    return c10::IValue(std::move(copy));
  }
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return c10::IValue(*integer);
  if (const auto* number = std::get_if<double>(&value)) return c10::IValue(*number);
  return c10::IValue(std::get<bool>(value));
}

Result<std::vector<Tensor>> from_ivalue(const c10::IValue& value) {
  std::vector<at::Tensor> tensors;
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
  } else if (value.isTensorList()) {
    tensors = value.toTensorVector();
  } else if (value.isTuple()) {
    const auto tuple = value.toTuple();
    for (const c10::IValue& element : tuple->elements()) {
      if (!element.isTensor()) return no_tensors();
      tensors.push_back(element.toTensor());
    }
  } else {
    return no_tensors();
  }
  std::vector<Tensor> copies;
  for (const at::Tensor& tensor : tensors) {
    OUTCROP_TRY(copy, from_torch(tensor));
    copies.push_back(std::move(copy));
  }
  return copies;
}

}  // namespace outcrop::runtime
