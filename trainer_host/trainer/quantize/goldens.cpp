#include "trainer_host/trainer/quantize/goldens.hpp"

#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::quantize {
namespace {

std::string call_name(const kinds::Export& exported, std::size_t call) {
  return "golden call " + std::to_string(call + 1) + ", " + exported.goldens[call].method;
}

Status check_answer(const std::vector<torch::Tensor>& outputs, const messages::Method& method,
                    const std::string& call) {
  if (outputs.size() != method.outputs.size()) {
    return fail(ErrorCode::invalid_data, call + ": " + std::to_string(outputs.size()) +
                                             " outputs where the signature has " +
                                             std::to_string(method.outputs.size()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].isfinite().all().item<bool>()) continue;
    return fail(ErrorCode::diverged,
                call + ": output " + method.outputs[i].name + " of the float model is not finite");
  }
  return {};
}

}  // namespace

Result<std::vector<torch::Tensor>> answer(models::LiteModel& model,
                                          const kinds::ExampleCall& call) {
  std::vector<c10::IValue> arguments;
  for (const kinds::ExampleArgument& argument : call.arguments) {
    std::visit([&](const auto& value) { arguments.emplace_back(value); }, argument);
  }
  return model.call(call.method, std::move(arguments));
}

Result<std::vector<std::vector<torch::Tensor>>> answer_goldens(models::LiteModel& model,
                                                               const kinds::Export& exported) {
  std::vector<std::vector<torch::Tensor>> answers;
  for (std::size_t i = 0; i < exported.goldens.size(); ++i) {
    const kinds::ExampleCall& call = exported.goldens[i];
    const messages::Method* method = exported.signature.method(call.method);
    if (method == nullptr) {
      return fail(ErrorCode::internal, call_name(exported, i) + ": the signature has no such method");
    }
    OUTCROP_TRY(outputs, answer(model, call));
    OUTCROP_CHECK(check_answer(outputs, *method, call_name(exported, i)));
    answers.push_back(std::move(outputs));
  }
  return answers;
}

Status write_goldens(const kinds::Export& exported,
                     const std::vector<std::vector<torch::Tensor>>& answers,
                     const std::filesystem::path& folder, ExportedStage& stage) {
  std::vector<runtime::Tensor> inputs;
  std::vector<runtime::Tensor> outputs;
  for (std::size_t i = 0; i < exported.goldens.size(); ++i) {
    const kinds::ExampleCall& call = exported.goldens[i];
    const messages::Method& method = *exported.signature.method(call.method);
    const std::string number = "_" + std::to_string(i + 1);
    messages::GoldenCall golden{call.method, {}, {}};
    for (std::size_t k = 0; k < call.arguments.size(); ++k) {
      if (const auto* tensor = std::get_if<torch::Tensor>(&call.arguments[k])) {
        inputs.push_back(models::plain_tensor(method.inputs.at(k).name + number, *tensor));
        golden.arguments.emplace_back(messages::TensorReference(inputs.back().name));
      } else if (const auto* integer = std::get_if<std::int64_t>(&call.arguments[k])) {
        golden.arguments.emplace_back(*integer);
      } else if (const auto* real = std::get_if<double>(&call.arguments[k])) {
        golden.arguments.emplace_back(*real);
      } else {
        golden.arguments.emplace_back(std::get<bool>(call.arguments[k]));
      }
    }
    for (std::size_t k = 0; k < answers[i].size(); ++k) {
      outputs.push_back(models::plain_tensor(method.outputs[k].name + number, answers[i][k]));
      golden.outputs.emplace_back(outputs.back().name);
    }
    stage.golden_calls.push_back(std::move(golden));
  }
  stage.golden_input = folder / "golden_input.safetensors";
  stage.golden_output = folder / "golden_output.safetensors";
  OUTCROP_CHECK(runtime::write_tensor_file(stage.golden_input, inputs));
  return runtime::write_tensor_file(stage.golden_output, outputs);
}

}  // namespace outcrop::quantize
