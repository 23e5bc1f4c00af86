// What each observer and each correction of static int8 does to the error of two networks, and how long it takes: the
// decoders of a generator of the demo's size (drawn weights, batch norms that have seen data), and a small classifier
// that is trained on Fashion-MNIST here, where it lies in the folder that is named.
//
//     outcrop-bench-static [FOLDER] [STEPS of training]

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"
#include "trainer_host/trainer/kinds/draws.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"
#include "trainer_host/trainer/quantize/corrections/corrected.hpp"

namespace outcrop {
namespace {

using quantize::ActivationType;
using torch::Tensor;
using torch::jit::Module;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t calibrated = 256;
constexpr std::int64_t judged = 64;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Subject {
  std::string name;
  Module network;
  Tensor calibration;  // [256, ...]
  Tensor others;       // [64, ...], by which it is judged
};

double signal_to_noise(const Subject& subject, Module quantized) {
  const torch::NoGradGuard no_gradient;
  double signal = 0.0;
  double noise = 0.0;
  for (std::int64_t row = 0; row < judged; row += 16) {
    const Tensor rows = subject.others.slice(0, row, row + 16);
    const Tensor truth = Module(subject.network).forward({rows}).toTensor();
    signal += truth.square().sum().item<double>();
    noise += (quantized.forward({rows}).toTensor() - truth).square().sum().item<double>();
  }
  return 10.0 * std::log10(signal / noise);
}

void show_observers(const Subject& subject, const quantize::StaticQuantization& base) {
  for (const auto& kind : quantize::observer_kinds()) {
    quantize::StaticQuantization options = base;
    options.range = kind.search;
    const auto start = Clock::now();
    const auto quantized = quantize::quantize_static(subject.network, subject.calibration, options);
    const double seconds = seconds_since(start);
    if (!quantized) {
      std::printf("  %-16s %s\n", kind.name.c_str(), quantized.error().message().c_str());
      continue;
    }
    std::printf("  %-16s %6.2f dB  %6.1f s\n", kind.name.c_str(), signal_to_noise(subject, quantized->module),
                seconds);
  }
}

void show_corrections(const Subject& subject, const quantize::StaticQuantization& base) {
  quantize::CorrectionOptions how;
  how.wanted.emplace_back("adaround");
  how.rounding.longest = std::chrono::seconds(120);
  const auto start = Clock::now();
  const auto corrected = quantize::correct(subject.network, subject.calibration, base, how);
  if (!corrected) {
    std::printf("  %s\n", corrected.error().message().c_str());
    return;
  }
  for (const auto& step : corrected->steps) {
    std::printf("  %-16s squared error %.3g -> %.3g  %s\n", step.name.c_str(), step.before, step.after,
                step.kept ? "kept" : "not kept");
  }
  quantize::StaticQuantization options = base;
  options.weight_scales = corrected->weight_scales;
  const auto quantized = quantize::quantize_static(corrected->network, subject.calibration, options);
  if (quantized) {
    std::printf("  all that stayed  %6.2f dB  %6.1f s\n", signal_to_noise(subject, quantized->module),
                seconds_since(start));
  }
}

void show(const Subject& subject) {
  for (const ActivationType type : {ActivationType::quint8, ActivationType::qint8}) {
    std::printf("%s, %s\n", subject.name.c_str(), type == ActivationType::quint8 ? "quint8" : "qint8");
    quantize::StaticQuantization options;
    options.activations = type;
    show_observers(subject, options);
    show_corrections(subject, options);
    std::fflush(stdout);
  }
}

std::vector<Subject> generator_parts() {
  auto generator = generator::make_generator({}, 7);
  at::Generator random = at::detail::createCPUGenerator(11);
  const torch::NoGradGuard no_gradient;
  const auto latents = [&](std::int64_t rows) {
    return torch::empty({rows, generator.shape.latent, 1, 1}).normal_(0.0, 1.0, random);
  };
  generator.train(true);
  for (int i = 0; i < 20; ++i) {
    const Tensor rows = latents(16);
    generator.velocity_decoder.forward({rows});
    generator.seismic_decoder.forward({rows.slice(0, 0, 4)});
  }
  generator.train(false);
  const Tensor calibration = latents(calibrated);
  const Tensor others = latents(judged);
  return {{"velocity decoder", generator.velocity_decoder, calibration, others},
          {"seismic decoder", generator.seismic_decoder, calibration, others}};
}

std::vector<Subject> classifier_parts(const std::string& folder, std::size_t steps) {
  classifier::ClassifierRecipe recipe;
  recipe.widths = {16, 32};
  recipe.hidden = 64;
  recipe.data = {.train = {folder}};
  auto opened = recipe.open(1);
  if (!opened) {
    std::printf("no classifier: %s\n", opened.error().message().c_str());
    return {};
  }
  kinds::Task& task = **opened;
  const auto phase = task.phase(1);
  std::vector<Tensor> weights;
  for (const auto& trained : phase.trained) weights.push_back(trained.tensor);
  torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(0.003));
  static_cast<classifier::ClassifierTask&>(task).set_training(true);
  const auto draws = kinds::draw_epoch(1, 0, task.data().training, true);
  const std::size_t batches = task.data().training / 64;
  for (std::size_t step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    task.loss(phase, kinds::batch_of(draws, step % batches, batches)).total.backward();
    optimizer.step();
  }
  static_cast<classifier::ClassifierTask&>(task).set_training(false);
  std::vector<Subject> subjects;
  for (const auto& part : task.make_export().parts) {
    const torch::Tensor& inputs = part.calibration.front();
    if (inputs.size(0) < calibrated + judged) continue;
    subjects.push_back({"classifier, " + part.name, part.network, inputs.slice(0, 0, calibrated),
                        inputs.slice(0, calibrated, calibrated + judged)});
  }
  return subjects;
}

}  // namespace
}  // namespace outcrop

int main(int argc, char** argv) {
  at::set_num_threads(1);
  const std::string folder = argc > 1 ? argv[1] : "/usr/share/datasets/fashion-mnist";
  const std::size_t steps = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 300;
  for (const auto& subject : outcrop::classifier_parts(folder, steps)) outcrop::show(subject);
  for (const auto& subject : outcrop::generator_parts()) outcrop::show(subject);
}
