#include "trainer_host/trainer/quantize/methods/static_int8.hpp"

#include <algorithm>
#include <utility>

#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

// Enough for stable ranges (published recipes take as many); more only takes longer.
constexpr std::int64_t largest_calibration = 1000;

torch::Tensor evenly_chosen(const torch::Tensor& inputs) {
  const auto rows = inputs.size(0);
  const auto count = std::min(rows, largest_calibration);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(i * rows / count);
  return inputs.index_select(0, torch::tensor(chosen)).contiguous();
}

std::string spoken(std::string part) {
  std::replace(part.begin(), part.end(), '_', ' ');
  return part;
}

PlannedLayer in_part(const kinds::ExportPart& part, PlannedLayer layer) {
  layer.name = part.name + "." + layer.name;
  return layer;
}

kinds::Codes codes_of(torch::jit::Module network, const torch::Tensor& input) {
  const auto output = network.forward({input}).toTensor();
  return {output.q_scale(), output.q_zero_point(),
          output.scalar_type() == torch::kQInt8 ? -128 : 0};
}

class StaticInt8 final : public Method {
 public:
  StaticInt8(ActivationType activations, CorrectionOptions how)
      : activations_(activations), how_(std::move(how)) {}

  [[nodiscard]] std::string_view name() const override { return "static"; }
  [[nodiscard]] std::vector<std::string> formats() const override { return {"int8", "float"}; }

  [[nodiscard]] Result<Plan> plan(const kinds::Export& model) const override {
    Plan plan{.variant = "", .method = "static", .observer = observer_kinds().front().name, .layers = {}};
    for (const kinds::ExportPart& part : model.parts) {
      auto layers = layers_of(part);
      if (!layers) return fail(layers.error());
      for (const PlannedLayer& layer : *layers) {
        plan.layers.push_back({.layer = part.name + "." + layer.name,
                               .operation = layer.operation,
                               .format = "int8",
                               .reason = "",
                               .weights = layer.weights,
                               .multiply_adds = layer.multiply_adds});
      }
    }
    return plan;
  }

  [[nodiscard]] Result<Applied> apply(const Plan& plan, const kinds::Export& model) const override {
    const auto range = find_observer(plan.observer);
    if (!range) return fail(range.error().context("the plan"));
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      const Status status = apply(plan, *range, part, applied);
      if (!status) return fail(status.error().context(spoken(part.name)));
    }
    return applied;
  }

 private:
  // Planned as it was trained: what cannot be int8 is called by its own name.
  static Result<std::vector<PlannedLayer>> layers_of(const kinds::ExportPart& part) {
    auto layers = plan_layers(fold_batch_norm(part.network), part.calibration.slice(0, 0, 1));
    if (!layers) return fail(layers.error().context(spoken(part.name)));
    return layers;
  }

  Status apply(const Plan& plan, RangeSearch range, const kinds::ExportPart& part,
               Applied& applied) const {
    OUTCROP_TRY(layers, layers_of(part));
    StaticQuantization options;
    options.activations = activations_;
    options.range = range;
    for (const PlannedLayer& layer : layers) {
      const LayerDecision* decision = plan.layer(part.name + "." + layer.name);
      if (decision != nullptr && decision->format == "float") options.kept_float.insert(layer.name);
    }
    if (options.kept_float.size() == layers.size()) {
      applied.forms.push_back({reload(fold_batch_norm(part.network)), std::nullopt});
      add_float(layers, options.kept_float, applied);
      return {};
    }
    // Codes are answered by a network that ends in a quantized tensor only.
    const bool coded = !part.answers_floats && !options.kept_float.contains(layers.back().name);
    options.answer_codes = coded;
    if (coded) options.output_limit = part.output_limit;
    const auto& network = coded && part.integer_form ? *part.integer_form : part.network;
    const auto calibration = evenly_chosen(part.calibration);
    OUTCROP_TRY(corrected, correct(network, calibration, options, how_));
    for (CorrectionStep& step : corrected.steps) {
      step.name = part.name + "." + step.name;
      applied.corrections.push_back(std::move(step));
    }
    options.weight_scales = std::move(corrected.weight_scales);
    OUTCROP_TRY(quantized, quantize_static(corrected.network, calibration, options));
    std::optional<kinds::Codes> codes;
    if (coded) codes = codes_of(quantized.module, calibration.slice(0, 0, 1));
    applied.forms.push_back({std::move(quantized.module), codes});
    for (PlannedLayer& layer : quantized.plan) {
      applied.int8_layers.push_back(in_part(part, std::move(layer)));
    }
    for (const DegenerateRange& one : quantized.degenerate_ranges) {
      applied.degenerate_ranges.push_back({part.name + "." + one.layer, one.why});
    }
    add_float(layers, options.kept_float, applied);
    return {};
  }

  static void add_float(const std::vector<PlannedLayer>& layers, const std::set<std::string>& names,
                        Applied& applied) {
    for (const auto& [operation, count] : operations_of(layers, names)) {
      applied.float_layers[operation] += count;
    }
  }

  ActivationType activations_;
  CorrectionOptions how_;
};

}  // namespace

std::shared_ptr<const Method> make_static_int8(ActivationType activations, CorrectionOptions how) {
  return std::make_shared<StaticInt8>(activations, std::move(how));
}

}  // namespace outcrop::quantize
