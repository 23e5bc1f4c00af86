#include "trainer_host/trainer/kinds/module/exporting.hpp"

#include <algorithm>

#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;

constexpr std::size_t second_golden = 4;     // rows
constexpr std::size_t most_calibrated = 1000;  // rows
constexpr double least_spread = 1e-6;

messages::TensorType type_of(const Tensor& tensor) {
  messages::TensorType type;
  type.dtype = tensor.is_floating_point() ? "float32" : "int64";
  type.shape.emplace_back("batch");
  for (const std::int64_t size : tensor.sizes().slice(1)) type.shape.emplace_back(size);
  return type;
}

// Shares of the spread of what the float model answers: what rounding may move, what int8 may, and by
// how much two machines may differ about it.
messages::OutputBounds bounds_of(const Tensor& answers) {
  const auto values = answers.to(torch::kDouble);
  const double spread =
      values.numel() > 1 ? std::max(values.std().item<double>(), least_spread) : 1.0;
  return {{1e-3 * spread, 5e-2 * spread}, {0.25 * spread, 10.0 * spread}, {1e-2 * spread, 0.5 * spread}};
}

// The share of rows whose largest value stands in the same place.
double same_answer(const std::string&, const Tensor& truth, const Tensor& other) {
  if (truth.dim() < 2) return (truth == other).to(torch::kDouble).mean().item<double>();
  return (truth.argmax(1) == other.argmax(1)).to(torch::kDouble).mean().item<double>();
}

kinds::ExampleCall golden(const Rows& rows) {
  kinds::ExampleCall call{"forward", {}};
  for (const Tensor& input : rows.inputs) call.arguments.emplace_back(input);
  return call;
}

// As methods of quantization know networks, where it can be had and answers alike; else as it is, of which
// they then say what they cannot do.
// `told` is what it answers to `rows`.
torch::jit::Module form_for_methods(const torch::jit::Module& module, const Rows& rows,
                                    const std::vector<Tensor>& told, kinds::Export& exported,
                                     std::string& why_not) {
  try {
    auto layered = models::layered_form(module, rows.slice(0, 1).inputs);
    const auto again = answer(layered, rows.inputs);
    for (std::size_t i = 0; i < told.size(); ++i) {
      const bool alike = told[i].is_floating_point() ? torch::allclose(told[i], again.at(i), 1e-3, 1e-4)
                                                     : torch::equal(told[i], again.at(i));
      if (alike) continue;
      why_not = "its layers answer otherwise when they stand apart";
      return module;
    }
    exported.beside = [others = models::other_operations(layered)](bool) {
      std::vector<kinds::FloatPart> parts;
      for (const std::string& name : others) parts.push_back({name, "has no int8 kernel here"});
      return parts;
    };
    return layered;
  } catch (const std::exception& error) {
    why_not = models::words_of(error);
    return module;
  }
}

}  // namespace

kinds::Export make_export(const ForeignModule& foreign, const Rows& rows, const Rows& calibration,
                          const std::optional<Objective>& objective) {
  const torch::NoGradGuard no_gradient;
  auto module = foreign.module;
  const Rows some = calibration.slice(0, most_calibrated);
  const Rows asked = rows.slice(0, second_golden + 1);
  const auto answers = answer(module, asked.inputs);
  kinds::Export exported;
  exported.made_by_others = true;
  std::string why_not;
  const torch::jit::Module network = form_for_methods(module, asked, answers, exported, why_not);
  exported.parts = {{"module", network, some.inputs,
                     std::numeric_limits<float>::max(), std::nullopt, why_not,
                     models::change_in_place(network), /*answers_floats=*/true}};
  exported.compose = [](std::vector<kinds::PartForm> forms) { return std::move(forms.at(0).module); };
  messages::Method forward{"forward", {}, {}};
  for (std::size_t i = 0; i < foreign.arguments.size(); ++i) {
    forward.inputs.push_back({foreign.arguments[i], type_of(some.inputs[i])});
  }
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const bool classes = objective && objective->of_classes() && i == 0 && answers[i].dim() == 2;
    forward.outputs.push_back({foreign.outputs[i], type_of(answers[i]),
                               classes ? messages::Score::label : messages::Score::absolute});
    exported.bounds[foreign.outputs[i]] = bounds_of(answers[i]);
  }
  exported.signature = {"forward", {std::move(forward)}};
  exported.goldens.push_back(golden(rows.slice(0, 1)));
  if (rows.size() > 1) exported.goldens.push_back(golden(rows.slice(1, second_golden)));
  if (objective && objective->of_classes()) {
    exported.likeness_name = "same class";
    exported.likeness = same_answer;
  }
  return exported;
}

}  // namespace outcrop::user_module
