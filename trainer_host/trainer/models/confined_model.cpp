#include "trainer_host/trainer/models/confined_model.hpp"

#include "protocol/base/processors.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::models {
namespace {

// A file that is not known by any digest: whatever it holds, the runner loads these very bytes.
Result<trust::VerifiedBlob> seal(const std::filesystem::path& file) {
  OUTCROP_TRY(digest, trust::sha256_file(file));
  std::error_code error;
  const auto size = std::filesystem::file_size(file, error);
  if (error) return fail(ErrorCode::io, "reading " + file.string() + ": " + error.message());
  return trust::verify_blob(file, digest, ByteCount(size));
}

Result<runtime::Value> value_of(const c10::IValue& argument) {
  if (argument.isTensor()) return runtime::Value(plain_tensor("", argument.toTensor()));
  if (argument.isInt()) return runtime::Value(argument.toInt());
  if (argument.isDouble()) return runtime::Value(argument.toDouble());
  if (argument.isBool()) return runtime::Value(argument.toBool());
  return fail(ErrorCode::unsupported,
              "a runner takes no argument of type " + argument.tagKind());
}

}  // namespace

Result<ConfinedModel> ConfinedModel::load(const std::filesystem::path& file,
                                          const runtime::RunnerOptions& options) {
  OUTCROP_TRY(blob, seal(file));
  OUTCROP_TRY(runner, runtime::Runner::start(options));
  const auto in_file = [&](const Error& error) { return fail(error.context(file.string())); };
  const auto inspection = runner.inspect(blob);
  if (!inspection) return in_file(inspection.error());
  runtime::LoadRequest request;
  request.threads = static_cast<int>(available_processors());
  // The child's confinement is what protects here: no manifest says which operators are meant.
  request.allowed_operators = inspection->operators;
  if (const auto loaded = runner.load(blob, request); !loaded) return in_file(loaded.error());
  return ConfinedModel(std::move(runner), file.filename().string());
}

Result<std::vector<torch::Tensor>> ConfinedModel::call(const std::string& method,
                                                       std::vector<c10::IValue> arguments) {
  std::vector<runtime::Value> values;
  for (const c10::IValue& argument : arguments) {
    OUTCROP_TRY(value, value_of(argument));
    values.push_back(std::move(value));
  }
  auto answer = runner_.infer(method, values);
  if (!answer) return fail(answer.error().context(name_));
  std::vector<torch::Tensor> tensors;
  for (const runtime::Tensor& tensor : *answer) tensors.push_back(torch_tensor(tensor));
  return tensors;
}

}  // namespace outcrop::models
