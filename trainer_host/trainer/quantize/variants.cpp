#include "trainer_host/trainer/quantize/variants.hpp"

#include <ATen/Parallel.h>
#include <torch/csrc/jit/passes/xnnpack_rewrite.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/evaluate/metrics.hpp"
#include "trainer_host/trainer/models/coded_outputs.hpp"
#include "trainer_host/trainer/quantize/generator_signature.hpp"
#include "trainer_host/trainer/quantize/lite_model.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

// Enough for stable ranges; more only takes longer.
constexpr std::int64_t largest_calibration = 128;

class SingleThread {
 public:
  SingleThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;
  ~SingleThread() { at::set_num_threads(before_); }

 private:
  int before_;
};

// A variant before it is a file. `plan` holds what must run in int8: nothing for float.
struct Built {
  std::string name;
  Module generator;
  std::vector<PlannedLayer> plan;
};

std::span<const float> values(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

runtime::Tensor named(const std::string& name, const torch::Tensor& tensor) {
  const auto plain = tensor.contiguous();
  return runtime::Tensor::of_floats(name, plain.sizes().vec(), values(plain));
}

// Written through memory: the name of a file would end up in its bytes.
std::string mobile_bytes(const Module& generator) {
  std::ostringstream out;
  reload(generator)._save_for_mobile(out);
  return out.str();
}

std::string script_bytes(const Module& module) {
  std::ostringstream out;
  module.save(out);
  return out.str();
}

torch::Tensor evenly_chosen(const torch::Tensor& latents) {
  const auto rows = latents.size(0);
  const auto count = std::min(rows, largest_calibration);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(i * rows / count);
  const auto picked = latents.index_select(0, torch::tensor(chosen)).contiguous();
  return picked.reshape({count, latents.size(1), 1, 1});
}

Built build_float(const models::Generator& generator, const models::LatentPrior& prior) {
  return {"float",
          models::compose_generator(reload(fold_batch_norm(generator.velocity_decoder)),
                                    reload(fold_batch_norm(generator.seismic_decoder)), prior),
          {}};
}

// Each decoder by itself: optimizing the composed module would pack every weight twice, once for
// `forward` and once for `decode`.
Built build_float_mobile(const models::Generator& generator, const models::LatentPrior& prior) {
  const auto optimized = [](const Module& decoder) {
    return reload(torch::jit::optimizeForMobile(reload(fold_batch_norm(decoder))));
  };
  return {"float-mobile",
          models::compose_generator(optimized(generator.velocity_decoder),
                                    optimized(generator.seismic_decoder), prior),
          {}};
}

models::CodedOutput coded_output(Module decoder, const torch::Tensor& latent) {
  const auto output = decoder.forward({latent}).toTensor();
  return {output.q_scale(), output.q_zero_point(),
          output.scalar_type() == torch::kQInt8 ? -128 : 0};
}

Result<Built> build_int8(const std::string& name, const models::Generator& generator,
                         const models::LatentPrior& prior, const torch::Tensor& calibration,
                         StaticQuantization options) {
  options.output_limit = 1.0;  // denormalization clamps to [-1, 1]
  options.answer_codes = true;
  auto velocity = quantize_static(generator.velocity_decoder, calibration, options);
  if (!velocity) return fail(velocity.error().context(name + ", velocity decoder"));
  // Planned as it was trained first: what cannot be int8 is called by its own name.
  if (auto plan =
          plan_layers(fold_batch_norm(generator.seismic_decoder), calibration.slice(0, 0, 1));
      !plan) {
    return fail(plan.error().context(name + ", seismic decoder"));
  }
  const auto phased = models::with_phase_convolution(
      generator.seismic_decoder, models::seismic_decoder_layers(generator.shape));
  auto seismic = quantize_static(phased.network, calibration, options);
  if (!seismic) return fail(seismic.error().context(name + ", seismic decoder"));
  const auto latent = calibration.slice(0, 0, 1);
  const models::CodedOutputs codes{coded_output(velocity->module, latent),
                                   coded_output(seismic->module, latent), phased.phases};
  Built built{name, models::compose_generator(velocity->module, seismic->module, prior, codes), {}};
  for (auto& [network, plan] : {std::pair{"velocity_decoder.", &velocity->plan},
                                std::pair{"seismic_decoder.", &seismic->plan}}) {
    for (PlannedLayer layer : *plan) {
      layer.name = network + layer.name;
      built.plan.push_back(std::move(layer));
    }
  }
  return built;
}

// Parts of the composed generator that are no layers, and why they are not int8.
std::vector<FloatPart> parts_besides_layers(bool coded) {
  return {
      {"noise", "integers: the same bits on every machine, and no weights to shrink"},
      {"prior", "integers in fixed point: a latent is the same on every machine"},
      {"velocity_of", coded ? "each code's value is looked up: m/s are finer than 8 bits hold"
                            : "element by element in m/s, finer than 8 bits hold"},
      {"pressure_of", coded ? "each code's value is looked up: 8 bits cannot hold expm1's range"
                            : "element by element through expm1, whose range 8 bits cannot hold"}};
}

void describe_coverage(const Built& built, const models::LatentPrior& prior, VariantFile& variant) {
  variant.float_parts.push_back({"encoder", "stays on the host as a float file"});
  const auto parts = parts_besides_layers(!built.plan.empty());
  for (const FloatPart& part : parts) variant.float_parts.push_back(part);
  if (built.plan.empty()) {
    variant.float_parts.push_back(
        {"velocity_decoder, seismic_decoder", "this variant is float: what int8 is compared with"});
    return;
  }
  variant.float_parts.push_back(
      {"biases of all layers", "float in the file, 32-bit integers when they run"});
  std::int64_t weights = 0;
  std::int64_t biases = 0;
  std::int64_t multiply_adds = 0;
  for (const PlannedLayer& layer : built.plan) {
    weights += layer.weights;
    biases += layer.biases;
    multiply_adds += layer.multiply_adds;
  }
  // What the file stores besides layers: the decoders hold nothing but packed weights by now.
  std::int64_t besides = 0;
  for (const auto& tensor : built.generator.parameters()) besides += tensor.numel();
  for (const auto& tensor : built.generator.buffers()) besides += tensor.numel();
  const auto share = [](auto part, auto whole) {
    return static_cast<double>(part) / static_cast<double>(whole);
  };
  variant.coverage.modules = share(built.plan.size(), built.plan.size() + parts.size());
  variant.coverage.parameters = share(weights, weights + biases + besides);
  variant.coverage.multiply_adds = share(multiply_adds, multiply_adds + prior.factor.numel());
}

using ScoreFunction = evaluate::Score (*)(std::span<const float>, std::span<const float>);

OutputError compare(const torch::Tensor& truth, const torch::Tensor& output, ScoreFunction score) {
  OutputError error;
  evaluate::MeanScore mean;
  for (std::int64_t row = 0; row < truth.size(0); ++row) {
    const auto golden = values(truth[row]);
    const auto shown = values(output[row]);
    const auto one = score(golden, shown);
    mean.add(one);
    error.mean_abs_error = std::max(error.mean_abs_error, one.mae);
    error.max_abs_error =
        std::max(error.max_abs_error, evaluate::max_absolute_error(golden, shown));
  }
  error.ssim = mean.mean().ssim;
  error.average_abs_error = mean.mean().mae;
  return error;
}

// The answers to the golden calls, a row each.
Result<GeneratedPair> golden_answers(LiteModel& model, const torch::Tensor& training_latent) {
  std::vector<torch::Tensor> velocity;
  std::vector<torch::Tensor> seismic;
  for (const auto seed : golden_seeds) {
    OUTCROP_TRY(drawn, model.draw(seed));
    velocity.push_back(drawn.velocity);
    seismic.push_back(drawn.seismic);
  }
  OUTCROP_TRY(decoded, model.decode(training_latent));
  velocity.push_back(decoded.velocity);
  seismic.push_back(decoded.seismic);
  return GeneratedPair{torch::cat(velocity), torch::cat(seismic)};
}

// Runs the file's bytes as a board would and checks what was executed against the plan.
Result<GeneratedPair> run_as_board(const std::string& bytes, const Built& built,
                                   const torch::Tensor& training_latent) {
  OUTCROP_TRY(model, LiteModel::load(bytes, built.name));
  if (!built.plan.empty()) {
    OperatorCounter counter;
    OUTCROP_TRY(first, model.decode(training_latent));
    if (auto status = check_against_plan(counter.counts(), built.plan); !status) {
      return fail(status.error().context(built.name + ", operators executed"));
    }
  }
  return golden_answers(model, training_latent);
}

Result<GeneratedPair> make_golden(const std::string& float_bytes,
                                  const torch::Tensor& training_latent) {
  OUTCROP_TRY(model, LiteModel::load(float_bytes, "float"));
  OUTCROP_TRY(outputs, golden_answers(model, training_latent));
  if (!outputs.velocity.isfinite().all().item<bool>() ||
      !outputs.seismic.isfinite().all().item<bool>()) {
    return fail(ErrorCode::diverged, "the float model's outputs are not finite");
  }
  return outputs;
}

// Files, calls and signature by which whoever has a variant can prove it.
Status write_golden(const torch::Tensor& latent, const GeneratedPair& golden, ExportedStage& stage) {
  stage.signature = generator_signature(latent.size(1));
  stage.bounds = generator_bounds();
  std::vector<runtime::Tensor> outputs;
  const auto add = [&](messages::GoldenCall call) {
    const auto row = static_cast<std::int64_t>(stage.golden_calls.size());
    const std::string number = "_" + std::to_string(row + 1);
    outputs.push_back(named("velocity" + number, golden.velocity.slice(0, row, row + 1)));
    outputs.push_back(named("seismic" + number, golden.seismic.slice(0, row, row + 1)));
    call.outputs = {"velocity" + number, "seismic" + number};
    stage.golden_calls.push_back(std::move(call));
  };
  for (const auto seed : golden_seeds) add({"forward", {std::int64_t{1}, seed}, {}});
  add({"decode", {messages::TensorReference("latent")}, {}});
  const std::vector<runtime::Tensor> inputs{named("latent", latent)};
  OUTCROP_CHECK(runtime::write_tensor_file(stage.golden_input, inputs));
  return runtime::write_tensor_file(stage.golden_output, outputs);
}

Result<std::vector<Built>> build_all(const models::Generator& generator,
                                     const models::LatentPrior& prior,
                                     const torch::Tensor& calibration, RangeSearch range) {
  std::vector<Built> built{build_float(generator, prior), build_float_mobile(generator, prior)};
  for (const auto& [name, type] : {std::pair{"int8-quint8", ActivationType::quint8},
                                   std::pair{"int8-qint8", ActivationType::qint8}}) {
    StaticQuantization options;
    options.activations = type;
    options.range = range;
    OUTCROP_TRY(variant, build_int8(name, generator, prior, calibration, options));
    built.push_back(std::move(variant));
  }
  return built;
}

Result<ExportedStage> export_all(const models::Generator& generator,
                                 const models::LatentPrior& prior, const torch::Tensor& latents,
                                 const std::filesystem::path& folder, const std::string& stem,
                                 RangeSearch range) {
  OUTCROP_TRY(variants, build_all(generator, prior, evenly_chosen(latents), range));
  ExportedStage stage;
  std::optional<GeneratedPair> golden;
  const torch::Tensor training_latent = latents.slice(0, 0, 1).contiguous();
  for (const Built& built : variants) {
    const std::string bytes = mobile_bytes(built.generator);
    if (!golden) {
      OUTCROP_TRY(made, make_golden(bytes, training_latent));
      golden = std::move(made);
    }
    OUTCROP_TRY(outputs, run_as_board(bytes, built, training_latent));
    VariantFile variant;
    variant.name = built.name;
    variant.file = folder / (stem + "_" + built.name + ".ptl");
    variant.size = ByteCount(bytes.size());
    describe_coverage(built, prior, variant);
    variant.velocity =
        compare(golden->velocity, outputs.velocity, evaluate::score_velocity_map);
    variant.seismic =
        compare(golden->seismic, outputs.seismic, evaluate::score_shot_gathers);
    OUTCROP_CHECK(write_file_durably(variant.file, bytes));
    stage.variants.push_back(std::move(variant));
  }
  stage.encoder = folder / (stem + "_encoder.pt");
  OUTCROP_CHECK(
      write_file_durably(stage.encoder, script_bytes(fold_batch_norm(generator.encoder))));
  stage.golden_input = folder / "golden_input.safetensors";
  stage.golden_output = folder / "golden_output.safetensors";
  OUTCROP_CHECK(write_golden(training_latent, *golden, stage));
  return stage;
}

}  // namespace

Result<ExportedStage> export_variants(const models::Generator& generator,
                                      const models::LatentPrior& prior,
                                      const torch::Tensor& calibration_latents,
                                      const std::filesystem::path& folder, const std::string& model,
                                      int stage, RangeSearch range) {
  const std::string stem = model + "_stage" + std::to_string(stage);
  try {
    if (calibration_latents.dim() != 2 || calibration_latents.size(0) < 1) {
      return fail(ErrorCode::invalid_argument,
                  "exporting " + stem + ": calibration latents must be [N, latent] with N >= 1");
    }
    const torch::NoGradGuard no_grad;
    const SingleThread single_thread;
    prepare_engine();
    // Type names count up with every copy made in a module's compilation unit, and they end up
    // in the files: start from fresh units, or bytes would depend on what happened before.
    models::Generator fresh = generator;
    fresh.encoder = reload(generator.encoder);
    fresh.velocity_decoder = reload(generator.velocity_decoder);
    fresh.seismic_decoder = reload(generator.seismic_decoder);
    auto exported =
        export_all(fresh, prior, calibration_latents.detach().contiguous(), folder, stem, range);
    if (!exported) return fail(exported.error().context("exporting " + stem));
    return exported;
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "exporting " + stem + ": " + error.what());
  }
}

}  // namespace outcrop::quantize
