#include "trainer_host/trainer/quantize/part_layers.hpp"

#include <algorithm>

#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"
#include "trainer_host/trainer/quantize/storage/module_copy.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

bool answers_alike(Module one, Module other, const std::vector<torch::Tensor>& rows) {
  const torch::NoGradGuard no_grad;
  const auto first = models::tensors_in(one.forward({rows.begin(), rows.end()}));
  const auto second = models::tensors_in(other.forward({rows.begin(), rows.end()}));
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (!torch::allclose(first[i].to(torch::kFloat), second.at(i).to(torch::kFloat), 1e-3, 1e-4)) return false;
  }
  return true;
}

}  // namespace

std::string spoken(std::string part) {
  std::replace(part.begin(), part.end(), '_', ' ');
  return part;
}

std::vector<torch::Tensor> first_rows(const kinds::ExportPart& part) {
  std::vector<torch::Tensor> rows;
  for (const torch::Tensor& argument : part.calibration) rows.push_back(argument.slice(0, 0, 1));
  return rows;
}

Result<LayeredPart> layered(const kinds::ExportPart& part) {
  if (!part.not_layered.empty()) return fail(ErrorCode::unsupported, part.not_layered);
  try {
    const auto rows = first_rows(part);
    Module network = models::layered_form(reload(part.network), rows);
    if (!answers_alike(part.network, network, rows)) {
      return fail(ErrorCode::unsupported, spoken(part.name) + " answers otherwise when its layers stand apart");
    }
    auto layers = find_layers(network, rows);
    return LayeredPart{std::move(network), std::move(layers)};
  } catch (const std::exception& error) {
    return fail(ErrorCode::unsupported, spoken(part.name) + ": " + models::words_of(error));
  }
}

Result<std::vector<LayerDecision>> decide_each(
    const kinds::Export& model, const std::function<Choice(const PlannedLayer&, const Module&)>& choose) {
  std::vector<LayerDecision> decisions;
  bool any = false;
  for (const kinds::ExportPart& part : model.parts) {
    OUTCROP_TRY(found, layered(part));
    for (const PlannedLayer& layer : found.layers) {
      Choice choice{"float", ""};
      if (layer.weights == 0) {
        choice.reason = "multiplies what is computed, or weights that cannot be told apart";
      } else if (layer.calls == 0) {
        choice.reason = "never ran: the model takes another branch";
      } else {
        choice = choose(layer, found.network.attr(layer.name).toModule());
      }
      LayerDecision decision{.layer = part.name + "." + layer.name,
                             .operation = layer.operation,
                             .format = choice.format,
                             .reason = choice.reason,
                             .weights = layer.weights,
                             .multiply_adds = layer.multiply_adds,
                             .formats = {"float"}};
      if (choice.format != "float") decision.formats.insert(decision.formats.begin(), choice.format);
      decision.formats.insert(decision.formats.end(), choice.others.begin(), choice.others.end());
      any = any || choice.format != "float";
      decisions.push_back(std::move(decision));
    }
  }
  if (any) return decisions;
  std::string why;
  for (const LayerDecision& one : decisions) {
    why += (why.empty() ? ": " : "; ") + one.layer + " (" + one.operation + "): " + one.reason;
  }
  return fail(ErrorCode::unsupported, "there is no layer for it" + why);
}

void replace_each(const Plan& plan, const std::string& part, const LayeredPart& found, Applied& applied,
                  const std::function<Replacement(const PlannedLayer&, const Module&, const std::string&)>& make) {
  std::map<std::string, Module> instead;
  for (const PlannedLayer& layer : found.layers) {
    const LayerDecision* decision = plan.layer(part + "." + layer.name);
    const std::string format = decision == nullptr ? "float" : decision->format;
    MadeLayer made{layer, format, "aten::" + layer.operation};
    if (format != "float") {
      Replacement replacement = make(layer, found.network.attr(layer.name).toModule(), format);
      made.runs_as = std::move(replacement.runs_as);
      made.in_integers = replacement.in_integers;
      instead.emplace(layer.name, std::move(replacement.module));
    } else if (layer.weights == 0) {
      made.runs_as.clear();
    }
    made.layer.name = part + "." + layer.name;
    applied.layers.push_back(std::move(made));
  }
  applied.forms.push_back({with_modules(found.network, instead), std::nullopt});
}

}  // namespace outcrop::quantize
