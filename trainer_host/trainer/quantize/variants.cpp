#include "trainer_host/trainer/quantize/variants.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>

#include "protocol/base/cut_short.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/trainer/models/freed_memory.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/goldens.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"
#include "trainer_host/trainer/quantize/targets.hpp"
#include "trainer_host/trainer/quantize/mobile_bytes.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;
using Answers = std::vector<std::vector<torch::Tensor>>;

constexpr const char* reference = "float";

class SingleThread {
 public:
  SingleThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;
  ~SingleThread() { at::set_num_threads(before_); }

 private:
  int before_;
};

// A variant before it is a file.
struct Built {
  const VariantKind* kind = nullptr;
  Plan plan;
  Applied applied;  // its forms are in `model`
  Module model;  // until it is bytes
  std::optional<MixedReport> mixed;
};

// What others are compared with.
struct Reference {
  Answers answers;
  std::int64_t values = 0;  // parameters and buffers of the float model
  ByteCount size;           // of its file
};

std::string script_bytes(const Module& module) {
  std::ostringstream out;
  module.save(out);
  return out.str();
}

Status check_choice_target(const VariantChoice& choice, const VariantKind& kind, const Plan& plan) {
  const bool is_float = kind.name == reference || kind.name == "float-mobile";
  if (choice.target.empty() || is_float) return {};
  OUTCROP_TRY(target, find_target(choice.target));
  return check_target(*target, kind, plan);
}

Result<Plan> plan_of(const VariantKind& kind, const kinds::Export& model,
                     const VariantChoice& choice, std::optional<MixedReport>& report) {
  OUTCROP_TRY(plan, kind.method->plan(model));
  plan.variant = kind.name;
  if (choice.weights && plan.weights) plan.weights = choice.weights;
  if (!choice.plan || choice.plan->variant != kind.name) {
    OUTCROP_CHECK(check_choice_target(choice, kind, plan));
    OUTCROP_TRY(settled, kind.method->settle(std::move(plan), model, choice.settling));
    report = std::move(settled.report);
    return std::move(settled.plan);
  }
  if (choice.plan->method != plan.method) {
    return fail(ErrorCode::invalid_argument, "the plan is for the method '" + choice.plan->method +
                                                 "', and " + kind.name + " is made by '" +
                                                 plan.method + "'");
  }
  OUTCROP_CHECK(check_decisions(*choice.plan, plan));
  if (plan.corrections) plan.corrections = choice.plan->corrections.value_or(std::vector<std::string>());
  if (!plan.observer.empty() && !choice.plan->observer.empty()) plan.observer = choice.plan->observer;
  if (plan.weights && choice.plan->weights) plan.weights = choice.plan->weights;
  plan.other_ms = choice.plan->other_ms;
  for (LayerDecision& layer : plan.layers) {
    const LayerDecision* wanted = choice.plan->layer(layer.layer);
    if (wanted == nullptr) continue;
    layer.format = wanted->format;
    layer.reason = wanted->reason.empty() && wanted->format == "float" ? "as the plan wants it"
                                                                       : wanted->reason;
    layer.cost = wanted->cost;
  }
  OUTCROP_CHECK(check_choice_target(choice, kind, plan));
  return plan;
}

Result<Built> build(const std::string& variant, const kinds::Export& model,
                    const VariantChoice& choice) {
  OUTCROP_TRY(kind, find_variant(variant));
  std::optional<MixedReport> report;
  OUTCROP_TRY(plan, plan_of(*kind, model, choice, report));
  OUTCROP_TRY(applied, kind->method->apply(plan, model));
  Module composed = model.compose(std::exchange(applied.forms, {}));
  return Built{kind, std::move(plan), std::move(applied), std::move(composed), std::move(report)};
}

std::int64_t values_in(const Module& model) {
  std::int64_t values = 0;
  for (const auto& tensor : model.parameters()) values += tensor.numel();
  for (const auto& tensor : model.buffers()) values += tensor.numel();
  return values;
}

// Of `float_values` that the float model holds.
void describe_coverage(const Built& built, const kinds::Export& model, std::int64_t float_values,
                       VariantFile& variant) {
  for (const auto& [name, module] : model.host_modules) {
    variant.stays_float.push_back({name, "stays on the host as a float file"});
  }
  const auto& layers = built.applied.layers;
  const bool coded = std::any_of(layers.begin(), layers.end(),
                                 [](const MadeLayer& layer) { return !layer.is_float(); });
  const auto beside = model.beside(coded);
  variant.stays_float.insert(variant.stays_float.end(), beside.begin(), beside.end());
  for (const LayerDecision& layer : built.plan.layers) {
    if (layer.format == "float") variant.stays_float.push_back({layer.layer, layer.reason});
  }
  if (!coded) {
    std::vector<std::string> names;
    for (const kinds::ExportPart& part : model.parts) names.push_back(part.name);
    variant.stays_float.push_back(
        {join(names, ", "), "this variant is float: what int8 is compared with"});
    return;
  }
  variant.stays_float.push_back(
      {"biases of all layers", "float in the file, 32-bit integers when they run in int8"});
  std::int64_t weights = 0;
  std::int64_t in_integers = 0;
  std::int64_t multiply_adds = model.beside_multiply_adds;
  std::size_t changed = 0;
  for (const MadeLayer& layer : layers) {
    multiply_adds += layer.layer.multiply_adds;
    if (layer.is_float()) continue;
    ++changed;
    weights += layer.layer.weights;
    if (layer.in_integers) in_integers += layer.layer.multiply_adds;
  }
  const auto share = [](auto part, auto whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
  };
  variant.coverage.modules = share(changed, layers.size() + beside.size());
  variant.coverage.parameters = share(weights, float_values);
  variant.coverage.multiply_adds = share(in_integers, multiply_adds);
}

// Each output over all calls that give it.
std::map<std::string, OutputError> compare(const kinds::Export& model, const Answers& truth,
                                           const Answers& answers) {
  std::map<std::string, OutputError> errors;
  std::map<std::string, double> calls;
  for (std::size_t call = 0; call < truth.size(); ++call) {
    const auto& outputs = model.signature.method(model.goldens[call].method)->outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::string& name = outputs[i].name;
      const auto distance = (truth[call][i].to(torch::kDouble) - answers[call][i].to(torch::kDouble)).abs();
      const double mean = distance.numel() > 0 ? distance.mean().item<double>() : 0.0;
      const double most = distance.numel() > 0 ? distance.max().item<double>() : 0.0;
      const auto [found, fresh] = errors.try_emplace(name, OutputError{.likeness = 0.0});
      OutputError& error = found->second;
      error.mean_abs_error = std::max(error.mean_abs_error, mean);
      error.max_abs_error = std::max(error.max_abs_error, most);
      error.average_abs_error += mean;
      error.signal += truth[call][i].to(torch::kDouble).square().sum().item<double>();
      error.noise += distance.square().sum().item<double>();
      error.likeness += model.likeness ? model.likeness(name, truth[call][i], answers[call][i]) : 1.0;
      calls[name] += 1.0;
    }
  }
  for (auto& [name, error] : errors) {
    error.average_abs_error /= calls[name];
    error.likeness /= calls[name];
  }
  return errors;
}

// Runs the file's bytes as a board would and checks what was executed against the plan.
Result<Answers> run_as_board(const std::string& bytes, const Built& built,
                             const kinds::Export& model) {
  OUTCROP_TRY(loaded, models::LiteModel::load(bytes, built.kind->name));
  if (!built.applied.layers.empty()) {
    OperatorCounter counter;
    OUTCROP_TRY(ignored, answer(loaded, model.goldens.at(model.counted_golden)));
    if (auto status = check_operators(counter.counts(), built.applied.layers); !status) {
      return fail(status.error().context("operators executed"));
    }
  }
  return answer_goldens(loaded, model);
}

// How near a variant must come to float at least, in decibels: below, something else than rounding is wrong. Of models
// that others made; those of a kind have bounds of their own.
constexpr double least_db = 6.0;
constexpr double least_4bit_db = 3.0;
constexpr double least_float_db = 60.0;

Status check_near(const VariantFile& variant, const kinds::Export& model) {
  if (!model.made_by_others) return {};
  double least = variant.name == "float-mobile" ? least_float_db : least_db;
  if (variant.name.ends_with("4bit")) least = least_4bit_db;
  for (const auto& [name, error] : variant.outputs) {
    const auto& outputs = model.signature.serves().outputs;
    const bool is_float = std::any_of(outputs.begin(), outputs.end(), [&](const messages::Output& one) {
      return one.name == name && one.type.dtype == "float32";
    });
    if (!is_float || error.signal <= 0.0 || error.sqnr_db() >= least) continue;
    return fail(ErrorCode::unsupported,
                "its " + name + " is " + std::to_string(std::lround(error.sqnr_db())) +
                    " dB above the difference to float's in the golden calls, and at least " +
                    std::to_string(std::lround(least)) + " are wanted: such a file would be wrong");
  }
  return {};
}

std::vector<kinds::FloatPart> remarks_of(const Built& built, const VariantFile& variant, const Reference& golden) {
  std::vector<kinds::FloatPart> remarks = built.applied.remarks;
  const bool coded = std::any_of(built.applied.layers.begin(), built.applied.layers.end(),
                                 [](const MadeLayer& layer) { return !layer.is_float(); });
  if (coded && variant.size > golden.size) {
    remarks.push_back({"the file", "is larger than float's (" + variant.size.human() + " for " + golden.size.human() +
                                       "): what comes with codes takes more than they save in so small a model"});
  }
  return remarks;
}

Result<VariantFile> export_one(const std::string& name, const kinds::Export& model,
                               const std::filesystem::path& folder, const std::string& stem,
                               const VariantChoice& choice, Reference& golden) {
  OUTCROP_TRY(built, build(name, model, choice));
  const std::int64_t values = values_in(built.model);
  const std::string bytes = mobile_bytes(std::exchange(built.model, {}));
  OUTCROP_TRY(answers, run_as_board(bytes, built, model));
  if (golden.answers.empty()) golden = {answers, values, ByteCount(bytes.size())};
  VariantFile variant;
  variant.name = name;
  variant.file = folder / (stem + "_" + name + ".ptl");
  variant.plan = folder / (stem + "_" + name + ".plan.toml");
  variant.backend = built.kind->backend;
  variant.size = ByteCount(bytes.size());
  describe_coverage(built, model, golden.values, variant);
  variant.corrections = built.applied.corrections;
  for (const DegenerateRange& one : built.applied.degenerate_ranges) variant.degenerate.push_back({one.layer, one.why});
  variant.mixed = built.mixed;
  variant.remarks = remarks_of(built, variant, golden);
  variant.outputs = compare(model, golden.answers, answers);
  OUTCROP_CHECK(check_near(variant, model));
  if (built.plan.corrections) built.plan.corrections = stayed(built.applied.corrections);
  for (const kinds::FloatPart& one : built.applied.remarks) {
    for (LayerDecision& layer : built.plan.layers) {
      if (layer.layer == one.name && layer.reason.empty()) layer.reason = one.reason;
    }
  }
  OUTCROP_CHECK(write_file_durably(variant.file, bytes));
  OUTCROP_CHECK(write_file_durably(variant.plan, to_toml(built.plan)));
  return variant;
}

// LibTorch's passes raise where a module of others is not as they expect.
Result<VariantFile> export_caught(const std::string& name, const kinds::Export& model,
                                  const std::filesystem::path& folder, const std::string& stem,
                                  const VariantChoice& choice, Reference& golden) {
  try {
    return export_one(name, model, folder, stem, choice, golden);
  } catch (const std::exception& error) {
    return fail(ErrorCode::unsupported, models::words_of(error));
  }
}

// What a method cannot make is no reason to lose the others. Somebody's own plan is not passed over.
bool may_be_left_out(const std::string& name, const Error& why, const kinds::Export& model, const VariantChoice& choice) {
  if (name == reference || (choice.plan && choice.plan->variant == name)) return false;
  // Nothing keeps to a budget, or training and its int8 disagree: no defect of the model.
  if (model.made_by_others || why.code() == ErrorCode::refused) return true;
  return why.code() == ErrorCode::unsupported && choice.variants.size() > 2;
}

Result<ExportedStage> export_all(const kinds::Export& model, const std::filesystem::path& folder,
                                 const std::string& stem, const VariantChoice& choice) {
  ExportedStage stage;
  stage.signature = model.signature;
  stage.bounds = model.bounds;
  stage.about = model.about;
  stage.likeness_name = model.likeness_name;
  stage.made_by_others = model.made_by_others;
  Reference golden;
  for (const std::string& name : choice.variants) {
    if (choice.progress) choice.progress(stage.variants.size() + stage.left_out.size(), choice.variants.size(), name);
    auto variant = model.made_by_others ? export_caught(name, model, folder, stem, choice, golden)
                                        : export_one(name, model, folder, stem, choice, golden);
    if (!variant && may_be_left_out(name, variant.error(), model, choice)) {
      stage.left_out.emplace_back(name, cut_short(variant.error().message(), 300));
      continue;
    }
    if (!variant) return fail(variant.error().context(name));
    stage.variants.push_back(std::move(*variant));
  }
  for (const auto& [name, module] : model.host_modules) {
    stage.host_files.push_back(folder / (stem + "_" + name + ".pt"));
    OUTCROP_CHECK(
        write_file_durably(stage.host_files.back(), script_bytes(fold_batch_norm(module))));
  }
  OUTCROP_CHECK(write_goldens(model, golden.answers, folder, stage));
  return stage;
}

// Files are proved by them: without any, or with one that asks nothing, there is no saying what a file answers.
Status check_goldens(const kinds::Export& model, const std::string& stem) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument, "exporting " + stem + ": " + why + ", and files are proved by those");
  };
  if (model.goldens.size() <= model.counted_golden) return refuse("there are no golden calls");
  for (const kinds::ExampleCall& call : model.goldens) {
    for (const kinds::ExampleArgument& argument : call.arguments) {
      const auto* tensor = std::get_if<torch::Tensor>(&argument);
      if (tensor != nullptr && tensor->numel() == 0) return refuse("a golden call of " + call.method + " has no rows");
    }
  }
  return {};
}

void remove_files(const std::filesystem::path& folder, const std::string& variant) {
  std::error_code ignored;
  for (const char* ending : {".ptl", ".plan.toml"}) {
    std::filesystem::remove(folder / (variant + ending), ignored);
  }
}

// Type names count up with every copy made in a module's compilation unit, and they end up
// in the files: start from fresh units, or bytes would depend on what happened before.
void freshen(kinds::Export& model) {
  for (kinds::ExportPart& part : model.parts) {
    part.network = reload(part.network);
    if (part.integer_form) part.integer_form = reload(*part.integer_form);
  }
  for (auto& [name, module] : model.host_modules) module = reload(module);
}

}  // namespace

Status check_variants(const std::vector<std::string>& variants) {
  if (variants.empty() || variants.front() != reference) {
    return fail(ErrorCode::invalid_argument,
                "the first variant must be float: what others are compared with and proved by");
  }
  for (std::size_t i = 0; i < variants.size(); ++i) {
    OUTCROP_TRY(kind, find_variant(variants[i]));
    if (std::find(variants.begin(), variants.begin() + static_cast<std::ptrdiff_t>(i),
                  kind->name) != variants.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fail(ErrorCode::invalid_argument, "variant " + variants[i] + " stands there twice");
    }
  }
  return {};
}

Result<ExportedStage> export_variants(kinds::Export model, const std::filesystem::path& folder,
                                      const std::string& stem, const VariantChoice& choice) {
  try {
    OUTCROP_CHECK(check_variants(choice.variants));
    for (const kinds::ExportPart& part : model.parts) {
      if (part.calibration.empty() || part.calibration[0].dim() < 1 || part.calibration[0].size(0) < 1) {
        return fail(ErrorCode::invalid_argument, "exporting " + stem + ": " + part.name +
                                                     " has no inputs to calibrate with");
      }
    }
    OUTCROP_CHECK(check_goldens(model, stem));
    const torch::NoGradGuard no_grad;
    const SingleThread single_thread;
    std::int64_t values = 0;
    for (const kinds::ExportPart& part : model.parts) values += values_in(part.network);
    const models::LargeBlocksReturned returned(ByteCount(static_cast<std::uint64_t>(values) * sizeof(float)));
    models::prepare_engine();
    freshen(model);
    auto exported = export_all(model, folder, stem, choice);
    if (exported) return exported;
    for (const std::string& name : choice.variants) remove_files(folder, stem + "_" + name);
    return fail(exported.error().context("exporting " + stem));
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "exporting " + stem + ": " + models::words_of(error));
  }
}

}  // namespace outcrop::quantize
