#include "trainer_host/trainer/models/lite_model.hpp"

#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>

#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "protocol/base/regular_file.hpp"
#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::models {
namespace {

Result<LiteModel> load_stream(std::istream& stream, const std::string& name,
                              Result<LiteModel> (*wrap)(torch::jit::mobile::Module, std::string)) {
  try {
    prepare_engine();
    return wrap(torch::jit::_load_for_mobile(stream), name);
  } catch (const std::exception& error) {
    return fail(
        ErrorCode::invalid_data,
        name + " is not a model for the lite interpreter, or is damaged: " + first_line_of(error));
  }
}

}  // namespace

void prepare_engine() {
  torch::jit::setTensorExprFuserEnabled(false);
  at::globalContext().setQEngine(at::QEngine::QNNPACK);
  runtime::register_int4_operator();
}

Result<LiteModel> LiteModel::load(const std::filesystem::path& file) {
  OUTCROP_TRY(checked, open_regular_file(file));  // the library waits for a pipe
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return fail(Error::from_errno("opening " + file.string()));
  return load_stream(stream, file.filename().string(), [](auto module, auto name) {
    return Result<LiteModel>(LiteModel(std::move(module), std::move(name)));
  });
}

Result<LiteModel> LiteModel::load(const std::string& bytes, const std::string& name) {
  std::istringstream stream(bytes);
  return load_stream(stream, name, [](auto module, auto label) {
    return Result<LiteModel>(LiteModel(std::move(module), std::move(label)));
  });
}

Result<std::vector<torch::Tensor>> LiteModel::call(const std::string& method,
                                                   std::vector<c10::IValue> arguments) {
  try {
    const torch::NoGradGuard no_grad;
    auto tensors = tensors_in(module_.get_method(method)(std::move(arguments)));
    for (torch::Tensor& tensor : tensors) tensor = tensor.contiguous();
    return tensors;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name_ + ", method " + method + ": " + first_line_of(error));
  }
}

}  // namespace outcrop::models
