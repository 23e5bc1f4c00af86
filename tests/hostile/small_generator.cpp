#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>
#include <torch/csrc/jit/passes/quantization/finalize.h>
#include <torch/csrc/jit/passes/quantization/insert_observers.h>
#include <torch/csrc/jit/passes/quantization/insert_quant_dequant.h>
#include <torch/csrc/jit/passes/tensorexpr_fuser.h>
#include <torch/csrc/jit/passes/xnnpack_rewrite.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <sstream>
#include <stdexcept>

#include "tests/hostile/hostile_models.hpp"

namespace outcrop::hostile {
namespace {

using torch::jit::Module;
using CompilationUnit = std::shared_ptr<torch::jit::CompilationUnit>;

constexpr std::int64_t latent_size = 16;
constexpr std::int64_t latents = 3;

// Deterministic without LibTorch's global generator, whose state other tests share.
torch::Tensor noise(at::IntArrayRef shape, double amplitude, std::uint64_t seed) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed)) * amplitude;
}

Module layer(const CompilationUnit& unit, const char* name, const torch::Tensor& weight,
             const std::string& forward) {
  Module module(name, unit, /*shouldMangle=*/true);
  const std::int64_t outputs = weight.size(std::string(name).ends_with("Transpose2d") ? 1 : 0);
  module.register_parameter("weight", weight, false);
  module.register_parameter("bias", noise({outputs}, 0.05, 5), false);
  module.define("def forward(self, x):\n    return " + forward + "\n");
  return module;
}

Module transposed(const CompilationUnit& unit, at::IntArrayRef shape, const char* stride,
                  const char* padding, std::uint64_t seed) {
  return layer(unit, "__torch__.torch.nn.modules.conv.ConvTranspose2d", noise(shape, 0.15, seed),
               std::string("torch.conv_transpose2d(x, self.weight, self.bias, ") + stride + ", " +
                   padding + ", [0, 0], 1, [1, 1])");
}

Module convolution(const CompilationUnit& unit, at::IntArrayRef shape, std::uint64_t seed) {
  return layer(unit, "__torch__.torch.nn.modules.conv.Conv2d", noise(shape, 0.15, seed),
               "torch.conv2d(x, self.weight, self.bias, [1, 1], [1, 1], [1, 1], 1)");
}

Module velocity_decoder() {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module decoder("__torch__.VelocityDecoder", unit, true);
  decoder.register_module("grow",
                          transposed(unit, {latent_size, 16, 5, 5}, "[1, 1]", "[0, 0]", 11));
  decoder.register_module("double", transposed(unit, {16, 16, 4, 4}, "[2, 2]", "[1, 1]", 12));
  decoder.register_module("map", convolution(unit, {1, 16, 3, 3}, 13));
  decoder.define(R"(
def forward(self, x):
    x = torch.relu(self.grow.forward(x))
    x = torch.relu(self.double.forward(x))
    return self.map.forward(x)
)");
  return decoder;
}

Module seismic_decoder() {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module decoder("__torch__.SeismicDecoder", unit, true);
  decoder.register_module("grow",
                          transposed(unit, {latent_size, 16, 5, 5}, "[1, 1]", "[0, 0]", 21));
  decoder.register_module("stretch", transposed(unit, {16, 2, 8, 4}, "[8, 2]", "[0, 1]", 22));
  decoder.define(R"(
def forward(self, x):
    x = torch.relu(self.grow.forward(x))
    return self.stretch.forward(x)
)");
  return decoder;
}

Module activation_observer(const CompilationUnit& unit, bool qint8) {
  Module observer("__torch__.ActivationObserver", unit, true);
  observer.register_attribute(
      "dtype", c10::IntType::get(),
      static_cast<std::int64_t>(qint8 ? c10::ScalarType::QInt8 : c10::ScalarType::QUInt8));
  observer.register_attribute("qscheme", c10::QSchemeType::get(),
                              static_cast<std::int64_t>(c10::kPerTensorAffine));
  observer.register_buffer("low", torch::tensor(0.0F));
  observer.register_buffer("high", torch::tensor(0.0F));
  observer.define(std::string(R"(
def calculate_qparams(self):
    scale = torch.clamp_min((self.high - self.low) / 255.0, 1e-3)
    zero = torch.clamp(torch.round(-self.low / scale))") +
                  (qint8 ? " - 128, -128, 127" : ", 0, 255") + R"().to(4)
    return scale, zero
def forward(self, x):
    self.low.copy_(torch.min(self.low, torch.min(torch.detach(x))))
    self.high.copy_(torch.max(self.high, torch.max(torch.detach(x))))
    return x
)");
  return observer;
}

Module weight_observer(const CompilationUnit& unit) {
  Module observer("__torch__.WeightObserver", unit, true);
  observer.register_attribute("dtype", c10::IntType::get(),
                              static_cast<std::int64_t>(c10::ScalarType::QInt8));
  observer.register_attribute("qscheme", c10::QSchemeType::get(),
                              static_cast<std::int64_t>(c10::kPerTensorAffine));
  observer.register_buffer("scale", torch::ones({1}));
  observer.define(R"(
def calculate_qparams(self):
    return self.scale, torch.zeros_like(self.scale).to(4)
def forward(self, x):
    self.scale = torch.clamp_min(torch.max(torch.abs(torch.detach(x))) / 127.0, 1e-3)
    return x
)");
  return observer;
}

torch::Tensor golden_latents() {
  return noise({latents, latent_size}, 1.0, 99);
}

Module quantize(const Module& decoder, bool qint8) {
  Module copy = decoder.deepcopy();
  copy.eval();
  const auto unit = copy._ivalue()->compilation_unit();
  torch::jit::QConfigDict settings;
  settings[""] = torch::jit::QConfig{activation_observer(unit, qint8), weight_observer(unit)};
  Module observed =
      torch::jit::InsertObservers(copy, "forward", settings, true, torch::jit::QuantType::STATIC);
  const torch::Tensor calibration = golden_latents().reshape({latents, latent_size, 1, 1});
  observed.forward({calibration});
  Module quantized = torch::jit::InsertQuantDeQuant(observed, "forward", true, false,
                                                    torch::jit::QuantType::STATIC);
  return torch::jit::Finalize(quantized, torch::jit::QuantType::STATIC);
}

// Saved and loaded once more, as exports are: straight after Finalize, mobile files hold every
// weight twice.
Module settled(const Module& module) {
  std::stringstream stream;
  module.save(stream);
  return torch::jit::load(stream);
}

// `sampler` turns numbers and a seed into latents.
Module compose(const Module& velocity, const Module& seismic, const char* sampler = "sin") {
  Module generator("__torch__.SmallGenerator");
  generator.register_module("velocity", velocity);
  generator.register_module("seismic", seismic);
  generator.define(R"(
def decode(self, latent: Tensor) -> Tuple[Tensor, Tensor]:
    x = latent.reshape([latent.size(0), 16, 1, 1])
    velocity = 3000.0 + 1500.0 * torch.tanh(self.velocity.forward(x))
    return velocity, 10.0 * self.seismic.forward(x)
)");
  generator.define(std::string(R"(
def forward(self, batch_size: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    latent = torch.arange(batch_size * 16, dtype=6).reshape([batch_size, 16])
    return self.decode(torch.)") + sampler + "(latent + float(seed)))\n");
  return generator;
}

runtime::Tensor to_tensor(const std::string& name, const torch::Tensor& tensor) {
  const torch::Tensor dense = tensor.contiguous();
  return runtime::Tensor::of_floats(
      name, dense.sizes().vec(),
      {dense.data_ptr<float>(), static_cast<std::size_t>(dense.numel())});
}

// Zeroes the packed weights of the first quantized operator's weights found in a mobile file's
// module: serialized state of a packed convolution is a tuple that holds the weight tensor.
Module quantized_generator(bool qint8, bool tampered) {
  torch::jit::setTensorExprFuserEnabled(false);  // it spoils observers from LibTorch 2 on
  at::globalContext().setQEngine(at::QEngine::QNNPACK);
  Module velocity = velocity_decoder();
  if (tampered) velocity.attr("map").toModule().attr("weight").toTensor().zero_();
  return compose(quantize(velocity, qint8), quantize(seismic_decoder(), qint8));
}

messages::Signature signature() {
  using messages::ScalarKind;
  using messages::ScalarType;
  using messages::TensorType;
  const std::vector<messages::Output> pair{
      {"velocity", TensorType{"float32", {"batch", 1, 10, 10}, "m/s", messages::Range{1500, 4500}},
       {}},
      {"seismic", TensorType{"float32", {"batch", 2, 40, 10}, "pressure", messages::Range{-40, 40}},
       {}}};
  messages::Method forward{"forward", {}, pair};
  forward.inputs = {{"batch_size", ScalarType{ScalarKind::integer, {}, {}, "batch"}},
                    {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, {}, ""}}};
  messages::Method decode{"decode", {}, pair};
  decode.inputs = {{"latent", TensorType{"float32", {"batch", latent_size}, "", {}}}};
  return {"forward", {forward, decode}};
}

SmallGenerator make_goldens(const Module& generator) {
  SmallGenerator goldens;
  goldens.signature = signature();
  const torch::Tensor latent = golden_latents();
  goldens.golden_inputs.push_back(to_tensor("latent", latent));
  const auto add = [&](messages::GoldenCall call, const std::vector<c10::IValue>& arguments,
                       std::vector<runtime::Value> values) {
    const auto outputs = generator.get_method(call.method)(arguments).toTuple();
    runtime::ProofCall proof{call.method, std::move(values), {}};
    const std::string number = "_" + std::to_string(goldens.golden_calls.size() + 1);
    for (const std::size_t i : {0U, 1U}) {
      const std::string name = i == 0 ? "velocity" : "seismic";
      proof.outputs.push_back(to_tensor(name, outputs->elements()[i].toTensor()));
      goldens.golden_outputs.push_back(proof.outputs.back());
      goldens.golden_outputs.back().name = name + number;
      call.outputs.emplace_back(name + number);
    }
    goldens.golden_calls.push_back(std::move(call));
    goldens.proofs.push_back(std::move(proof));
  };
  for (const auto& [count, seed] : {std::pair<std::int64_t, std::int64_t>{1, 5}, {2, 7}}) {
    add({"forward", {count, seed}, {}}, {count, seed}, {count, seed});
  }
  add({"decode", {messages::TensorReference("latent")}, {}}, {latent},
      {goldens.golden_inputs.front()});
  return goldens;
}

}  // namespace

SmallGenerator write_small_generator(const std::filesystem::path& file, Form form) {
  const torch::NoGradGuard no_gradients;
  Module generator = compose(velocity_decoder(), seismic_decoder());
  generator.eval();
  const SmallGenerator goldens = make_goldens(generator);
  if (form == Form::quint8 || form == Form::qint8) {
    generator = quantized_generator(form == Form::qint8, /*tampered=*/false);
  } else if (form == Form::float_mobile) {
    generator = torch::jit::optimizeForMobile(generator, {}, {"decode"});
  }
  settled(generator)._save_for_mobile(file.string());
  return goldens;
}

void write_missampling_generator(const std::filesystem::path& file) {
  const torch::NoGradGuard no_gradients;
  Module generator = compose(velocity_decoder(), seismic_decoder(), "cos");
  generator.eval();
  settled(generator)._save_for_mobile(file.string());
}

void write_tampered_generator(const std::filesystem::path& file) {
  const torch::NoGradGuard no_gradients;
  settled(quantized_generator(/*qint8=*/false, /*tampered=*/true))._save_for_mobile(file.string());
}

}  // namespace outcrop::hostile
