#include "trainer_host/trainer/quantize/methods/static_int8.hpp"

#include <torch/csrc/jit/passes/freeze_module.h>

#include <algorithm>
#include <map>
#include <utility>

#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/quantize/byte_rows.hpp"
#include "trainer_host/trainer/quantize/fake_quantized.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

// Enough for stable ranges (published recipes take as many); more only takes longer.
constexpr std::int64_t largest_calibration = 1000;
constexpr std::int64_t fewest_percent = 10;
constexpr std::int64_t fewest_rows = 8;  // below, ranges are rather those of these rows than the model's

PlannedLayer in_part(const kinds::ExportPart& part, PlannedLayer layer) {
  layer.name = part.name + "." + layer.name;
  return layer;
}

kinds::Codes codes_of(torch::jit::Module network, const ArgumentRows& row) {
  const auto output = network.forward(row.values()).toTensor();
  return {output.q_scale(), output.q_zero_point(),
          output.scalar_type() == torch::kQInt8 ? -128 : 0};
}

// LibTorch's passes take it for an operation of one answer, and end at the second with words about themselves.
Status check_passes_know(const kinds::ExportPart& part, const torch::jit::Module& layered) {
  const auto operators = count_graph_operators(layered, "forward");
  if (!operators.contains("aten::adaptive_max_pool2d")) return {};
  return fail(ErrorCode::unsupported, spoken(part.name) + " has adaptive_max_pool2d, which LibTorch's passes for int8 "
                                                          "cannot do: max_pool2d and adaptive_avg_pool2d they can");
}

std::vector<std::string> wanted_by(const Plan& plan) {
  return plan.corrections.value_or(std::vector<std::string>());
}

Status check_trained(const kinds::Export& model) {
  for (const kinds::ExportPart& part : model.parts) {
    if (!part.trained_ranges.empty()) continue;
    return fail(ErrorCode::unsupported,
                spoken(part.name) + " was not trained for int8: train it further with train.qat_from (outcrop train "
                                    "--help) and take a stage's weights, or quantize it by --method static");
  }
  return {};
}

Result<std::vector<PlannedRange>> planned_ranges(const kinds::ExportPart& part) {
  std::vector<PlannedRange> planned;
  OUTCROP_TRY(ranges, ranges_in(part.trained_ranges));
  for (const auto& [name, map] : ranges) {
    const auto value = [&](std::int64_t code) { return static_cast<double>(code - map.zero_point) * map.scale; };
    planned.push_back({part.name + "." + name, value(0), value(255)});
  }
  return planned;
}

// Rows, where training and its int8 are compared.
constexpr std::int64_t compared_at_once = 16;

// A layer whose weights are looked up.
bool is_table(const PlannedLayer& layer) {
  return layer.operation == "embedding" && layer.weights > 0;
}

using Tables = std::map<std::string, torch::Tensor>;  // by the layers' names

// Those that the plan has in bytes.
Result<Tables> tables_in(const Plan& plan, const kinds::ExportPart& part, const StaticLayers& layers) {
  Tables tables;
  for (const PlannedLayer& layer : layers.all) {
    const LayerDecision* decision = plan.layer(part.name + "." + layer.name);
    if (!is_table(layer) || decision == nullptr || decision->format != "int8") continue;
    for (const auto& [path, tensor] : models::tensors_of(part.network)) {
      if (path == layer.name + ".weight") tables.emplace(layer.name, tensor.detach());
    }
    if (!tables.contains(layer.name)) {
      return fail(ErrorCode::internal, "the table of layer '" + layer.name + "' is not where its name says");
    }
  }
  return tables;
}

torch::jit::Module float_network(const kinds::ExportPart& part, const Tables& tables) {
  torch::jit::Module network = reload(fold_batch_norm(part.network));
  if (tables.empty()) return network;
  network.eval();
  network = torch::jit::freeze_module(network);
  pack_tables(network, tables);
  return reload(network);
}

class StaticInt8 final : public Method {
 public:
  // `trained`: by the ranges that parts have of their training.
  StaticInt8(ActivationType activations, std::string observer, CorrectionOptions how, bool trained)
      : activations_(activations), observer_(std::move(observer)), how_(std::move(how)), trained_(trained) {}

  [[nodiscard]] std::string_view name() const override { return trained_ ? "qat" : "static"; }

  [[nodiscard]] Result<Plan> plan(const kinds::Export& model) const override {
    Plan plan{.variant = "", .method = std::string(name()), .observer = trained_ ? "" : observer_, .layers = {}};
    OUTCROP_CHECK(check_nothing_in_place(model, "what static int8 does"));
    if (trained_) OUTCROP_CHECK(check_trained(model));
    if (!trained_) plan.corrections = how_.wanted;
    for (const kinds::ExportPart& part : model.parts) {
      OUTCROP_TRY(layers, layers_of(part));
      OUTCROP_TRY(ranges, planned_ranges(part));
      if (trained_) plan.ranges.insert(plan.ranges.end(), ranges.begin(), ranges.end());
      for (const PlannedLayer& layer : layers.all) {
        LayerDecision decision{.layer = part.name + "." + layer.name,
                               .operation = layer.operation,
                               .format = "int8",
                               .reason = "",
                               .weights = layer.weights,
                               .multiply_adds = layer.multiply_adds,
                               .formats = {"int8", "float"}};
        if (is_table(layer)) {
          decision.reason = "rows in a byte a value, made floats as they are looked up";
        } else if (!has_static_kernel(layer.operation) || layer.weights == 0) {
          decision.format = "float";
          decision.reason = "has no static int8 kernel here";
          decision.formats = {"float"};
        } else if (trained_) {
          decision.formats = {"int8"};  // as it was trained
        }
        plan.layers.push_back(std::move(decision));
      }
    }
    OUTCROP_CHECK(check_worth(plan));
    return plan;
  }

  [[nodiscard]] Result<Applied> apply(const Plan& plan, const kinds::Export& model) const override {
    if (trained_) return apply_trained(plan, model);
    const auto range = find_observer(plan.observer);
    if (!range) return fail(range.error().context("the plan"));
    if (auto known = check_corrections(wanted_by(plan)); !known) return fail(known.error().context("the plan"));
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      const Status status = apply(plan, *range, part, applied);
      if (!status) return fail(status.error().context(spoken(part.name)));
    }
    return applied;
  }

 private:
  // int8 of a layer or two is slower than none: the way there and back is longer than the layer.
  static Status check_worth(const Plan& plan) {
    std::int64_t int8 = 0;
    std::int64_t all = 0;
    std::string others;
    for (const LayerDecision& layer : plan.layers) {
      all += layer.multiply_adds;
      if (layer.format == "int8") {
        int8 += layer.multiply_adds;
      } else if (layer.multiply_adds > 0) {
        others += (others.empty() ? "" : ", ") + layer.layer;
      }
    }
    if (all == 0 || 100 * int8 >= fewest_percent * all) return {};
    return fail(ErrorCode::unsupported, std::to_string(100 * int8 / all) +
                                            " % of its multiply-adds would be int8: there is no static int8 kernel for " +
                                            others);
  }

  // Planned as it was trained: what cannot be int8 is called by its own name.
  static Result<StaticLayers> layers_of(const kinds::ExportPart& part) { return layers_of(part, part.network); }
  static Result<StaticLayers> layers_of(const kinds::ExportPart& part, const torch::jit::Module& form) {
    if (!part.not_layered.empty()) return fail(ErrorCode::unsupported, part.not_layered);
    OUTCROP_CHECK(check_passes_know(part, form));
    auto layers = find_static_layers(fold_batch_norm(form), first_rows(part));
    if (!layers) return fail(layers.error().context(spoken(part.name)));
    return layers;
  }

  Status apply(const Plan& plan, RangeSearch range, const kinds::ExportPart& part,
               Applied& applied) const {
    OUTCROP_TRY(layers, layers_of(part));
    StaticQuantization options;
    options.activations = activations_;
    options.range = range == RangeSearch::squared_error && part.keeps_extremes ? RangeSearch::min_max : range;
    for (const PlannedLayer& layer : layers.int8) {
      const LayerDecision* decision = plan.layer(part.name + "." + layer.name);
      if (decision != nullptr && decision->format == "float") options.kept_float.insert(layer.name);
    }
    OUTCROP_TRY(tables, tables_in(plan, part, layers));
    if (options.kept_float.size() == layers.int8.size()) {
      add_layers(part, layers, options.kept_float, tables, applied);
      applied.forms.push_back({float_network(part, tables), std::nullopt});
      return {};
    }
    // Codes are answered by a network that ends in a quantized tensor only.
    const bool coded = !part.answers_floats && ends_of(part.network).given == 1 &&
                       !options.kept_float.contains(layers.int8.back().name);
    options.answer_codes = coded;
    if (coded) options.output_limit = part.output_limit;
    const auto& network = coded && part.integer_form ? *part.integer_form : part.network;
    const ArgumentRows calibration = ArgumentRows(part.calibration).evenly_chosen(largest_calibration);
    CorrectionOptions how = how_;
    how.wanted = wanted_by(plan);
    OUTCROP_TRY(corrected, correct(network, calibration, options, how));
    for (CorrectionStep& step : corrected.steps) {
      step.name = part.name + "." + step.name;
      applied.corrections.push_back(std::move(step));
    }
    options.weight_scales = std::move(corrected.weight_scales);
    options.tables = tables;  // no correction needs them in bytes
    if (calibration.size() < fewest_rows) {
      applied.remarks.push_back({part.name, "ranges are of " + std::to_string(calibration.size()) +
                                                (calibration.size() == 1 ? " row" : " rows") +
                                                " alone, and no correction was tried: other rows may lie far outside; some "
                                                "hundred are usual"});
    }
    OUTCROP_TRY(made, layers_of(part, corrected.network));
    add_layers(part, made, options.kept_float, tables, applied);
    OUTCROP_TRY(quantized, quantize_static(corrected.network, calibration, options));
    std::optional<kinds::Codes> codes;
    if (coded) codes = codes_of(quantized.module, calibration.slice(0, 1));
    applied.forms.push_back({std::move(quantized.module), codes});
    for (const DegenerateRange& one : quantized.degenerate_ranges) {
      applied.degenerate_ranges.push_back({part.name + "." + one.layer, one.why});
    }
    return {};
  }

  [[nodiscard]] Result<Applied> apply_trained(const Plan& plan, const kinds::Export& model) const {
    OUTCROP_CHECK(check_trained(model));
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      const Status status = apply_trained(plan, part, answers_classes(model), applied);
      if (!status) return fail(status.error().context(spoken(part.name)));
    }
    return applied;
  }

  Status apply_trained(const Plan& plan, const kinds::ExportPart& part, bool classes, Applied& applied) const {
    OUTCROP_TRY(ranges, ranges_in(part.trained_ranges));
    const auto rows = first_rows(part);
    const Module trained = models::layered_form(reload(part.network), rows);
    const bool coded = !part.answers_floats;
    const Module network =
        coded && part.integer_form ? models::layered_form(reload(*part.integer_form), rows) : trained;
    StaticQuantization options;
    options.activations = activations_;
    options.answer_codes = coded;
    if (coded) options.output_limit = part.output_limit;
    OUTCROP_TRY(layers, layers_of(part, network));
    options.weight_scales = trained_weight_scales(trained, network, activations_);
    OUTCROP_TRY(fake, FakeQuantized::make(network, rows, options));
    OUTCROP_CHECK(fake.set_ranges(ranges));
    options.ranges = std::move(ranges);
    OUTCROP_TRY(tables, tables_in(plan, part, layers));
    const ArgumentRows calibration = ArgumentRows(part.calibration).evenly_chosen(largest_calibration);
    // Training kept tables in float: so does what is held against it.
    OUTCROP_TRY(quantized, quantize_static(network, calibration, options));
    OUTCROP_CHECK(check_as_trained(network, fake, quantized.module, calibration, options.output_limit, classes));
    if (!tables.empty()) {
      options.tables = tables;
      OUTCROP_TRY(in_bytes, quantize_static(network, calibration, options));
      quantized = std::move(in_bytes);
    }
    std::optional<kinds::Codes> codes;
    if (coded) codes = codes_of(quantized.module, rows);
    add_layers(part, layers, {}, tables, applied);
    applied.forms.push_back({std::move(quantized.module), codes});
    return {};
  }

  static Status check_as_trained(const Module& network, const FakeQuantized& fake, const Module& quantized,
                                 const ArgumentRows& rows, double limit, bool classes) {
    const torch::NoGradGuard no_gradient;
    const auto truth = answers_to(rows, network, compared_at_once, limit).front();
    const auto rounded = fake.answers(rows).clamp(-limit, limit);
    const auto converted = answers_to(rows, quantized, compared_at_once, limit).front();
    if (classes) OUTCROP_CHECK(check_same_classes(truth, rounded, converted));
    return check_agreement(truth, rounded, converted);
  }

  // Whether what the only network answers is a value for each class, along axis 1.
  static bool answers_classes(const kinds::Export& model) {
    const auto& outputs = model.signature.serves().outputs;
    return model.parts.size() == 1 && !outputs.empty() && outputs.front().score == messages::Score::label;
  }

  static void add_layers(const kinds::ExportPart& part, const StaticLayers& layers, const std::set<std::string>& kept_float,
                         const Tables& tables, Applied& applied) {
    for (const PlannedLayer& layer : layers.all) {
      MadeLayer made{in_part(part, layer), "float", layer.weights > 0 ? "aten::" + layer.operation : ""};
      if (tables.contains(layer.name)) {
        made.format = "int8";
        made.runs_as = "quantized::embedding_byte";
      } else if (has_static_kernel(layer.operation) && layer.weights > 0 && !kept_float.contains(layer.name)) {
        made.format = "int8";
        made.runs_as = "quantized::" + layer.operation;
        made.in_integers = true;
      } else if (!has_static_kernel(layer.operation) && !is_table(layer)) {
        made.runs_as.clear();  // the passes may have an int8 form of a norm
      }
      applied.layers.push_back(std::move(made));
    }
  }

  ActivationType activations_;
  std::string observer_;
  CorrectionOptions how_;
  bool trained_;
};

}  // namespace

std::shared_ptr<const Method> make_static_int8(ActivationType activations, std::string observer,
                                               CorrectionOptions how) {
  return std::make_shared<StaticInt8>(activations, std::move(observer), std::move(how), /*trained=*/false);
}

std::shared_ptr<const Method> make_trained_int8(ActivationType activations) {
  return std::make_shared<StaticInt8>(activations, name_of(RangeSearch::squared_error), CorrectionOptions(),
                                      /*trained=*/true);
}

}  // namespace outcrop::quantize
