#include "trainer_host/trainer/quantize/fake_quantized.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;

constexpr std::int64_t rows_of_a_forward = 16;
constexpr double farthest_db = 0.1;
constexpr double farthest_share = 0.001;
constexpr double deviations = 3.0;

// Puts the tensors of a layered form's layers, computed from those of the network that it is of, into it.
std::function<void(const Module&)> refresher(std::map<std::string, models::LayerOrigin> origins, const Module& network) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [path, tensor] : models::tensors_of(network)) tensors.emplace(path, tensor);
  return [origins = std::move(origins), tensors = std::move(tensors)](const Module& layered) {
    const auto of_path = [&](const std::string& path) { return tensors.at(path); };
    for (const auto& [name, origin] : origins) {
      Module layer = layered.attr(name).toModule();
      for (const auto& [own, tensor] : models::tensors_of_layer(origin, of_path)) layer.setattr(own, tensor);
    }
  };
}

// Of each row.
Tensor squared_distances(const Tensor& one, const Tensor& other) {
  return (one.to(torch::kDouble) - other.to(torch::kDouble)).square().reshape({one.size(0), -1}).sum(1);
}

}  // namespace

models::NamedTensors to_tensors(const TrainedRanges& ranges) {
  models::NamedTensors tensors;
  for (const auto& [name, map] : ranges) {
    tensors.emplace_back(name, torch::tensor({map.scale, static_cast<double>(map.zero_point)}, torch::kFloat));
  }
  return tensors;
}

Result<TrainedRanges> ranges_in(const models::NamedTensors& tensors) {
  TrainedRanges ranges;
  for (const auto& [name, tensor] : tensors) {
    const bool pair = tensor.scalar_type() == torch::kFloat && tensor.dim() == 1 && tensor.numel() == 2;
    const double scale = pair ? tensor[0].item<double>() : 0.0;
    const double zero_point = pair ? tensor[1].item<double>() : -1.0;
    if (!std::isfinite(scale) || scale < smallest_scale || zero_point < 0.0 || zero_point > 255.0 ||
        zero_point != std::floor(zero_point)) {
      return fail(ErrorCode::invalid_data, "the trained range of '" + name + "' is none");
    }
    ranges.emplace(name, CodeMap{scale, static_cast<std::int64_t>(zero_point)});
  }
  return ranges;
}

Result<FakeQuantized> FakeQuantized::make(const Module& network, const ArgumentRows& example,
                                          const StaticQuantization& options) {
  try {
    auto layered = models::layered_network(network, example.arguments());
    const Ends ends = ends_of(layered.module);
    if (example.arguments().size() != 1 || ends.given != 1) {
      return fail(ErrorCode::unsupported, "training for int8 is of networks from one tensor to one, and this takes " +
                                              std::to_string(example.arguments().size()) + " and gives " +
                                              std::to_string(ends.given) + "; static int8 takes it as it is");
    }
    if (auto layers = find_static_layers(layered.module, example); !layers) return fail(layers.error());
    // As conversion begins: constants that are equal have become one.
    return FakeQuantized(observe(reload(layered.module), options, WeightForm::rounded),
                         refresher(std::move(layered.origins), network));
  } catch (const std::exception& error) {
    return fail(ErrorCode::unsupported, models::words_of(error));
  }
}

Status FakeQuantized::choose_ranges(const ArgumentRows& calibration) {
  try {
    const torch::NoGradGuard no_gradient;
    const torch::jit::GraphOptimizerEnabledGuard plain(false);
    refresh_(observed_.module);
    OUTCROP_CHECK(run_through(observed_.module, observed_.tensors, calibration, rows_of_a_forward));
    for (const ObservedTensor& tensor : observed_.tensors) {
      ActivationStatistics* statistics = statistics_of(tensor.observer);
      CodeMap map = statistics->code_map();
      map.scale = static_cast<float>(map.scale);  // as files keep it
      statistics->fix(map);
    }
    return {};
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "choosing ranges: " + models::words_of(error));
  }
}

TrainedRanges FakeQuantized::ranges() const {
  TrainedRanges ranges;
  for (const ObservedTensor& tensor : observed_.tensors) {
    ranges.emplace(tensor.name, statistics_of(tensor.observer)->code_map());
  }
  return ranges;
}

Tensor FakeQuantized::answers(const ArgumentRows& rows) const {
  const torch::NoGradGuard no_gradient;
  refresh_(observed_.module);
  return answers_to(rows, observed_.module, rows_of_a_forward).front();
}

std::map<std::string, Tensor> trained_weight_scales(const Module& trained, const Module& converted,
                                                    ActivationType activations) {
  std::map<std::string, Tensor> scales;
  const auto weight_of = [](const Module& layer) { return layer.attr("weight").toTensor().detach(); };
  for (const auto& child : converted.named_children()) {
    if (!child.value.hasattr("weight") || !trained.hasattr(child.name)) continue;
    const std::string operation = operation_of(child.value);
    const Module layer = trained.attr(child.name).toModule();
    const Tensor weight = weight_of(child.value);
    const auto axis = weight_scale_axis(operation, weight, groups_of(child.value), activations);
    const auto trained_axis = weight_scale_axis(operation_of(layer), weight_of(layer), groups_of(layer), trained_for);
    if (trained_axis) {
      TORCH_CHECK(axis, "layer ", child.name, " was trained with a scale for each channel");
      scales[child.name] = largest_weight_scales(weight, axis);
      continue;
    }
    const Tensor one = largest_weight_scales(weight, std::nullopt);
    scales[child.name] = axis ? one.expand({weight.size(*axis)}).contiguous() : one;
  }
  return scales;
}

Status check_agreement(const Tensor& truth, const Tensor& fake, const Tensor& converted) {
  const double signal = truth.to(torch::kDouble).square().sum().item<double>();
  const double smallest = 1e-9 * signal + 1e-30;  // 90 dB
  const Tensor of_fake = squared_distances(fake, truth);
  const Tensor of_converted = squared_distances(converted, truth);
  const double noise = std::max(of_fake.sum().item<double>(), smallest);
  const double after = std::max(of_converted.sum().item<double>(), smallest);
  // A value at the border of two codes falls to either side, which alone moves the sum, by this at most.
  const Tensor differences = of_converted - of_fake;
  const double by_chance = deviations * (differences - differences.mean()).square().sum().sqrt().item<double>();
  const double by_size = std::abs(std::pow(10.0, (after < noise ? -farthest_db : farthest_db) / 10.0) - 1.0) * noise;
  const double farthest = truth.size(0) < rows_to_agree_on ? by_size + by_chance : std::max(by_size, by_chance);
  if (std::abs(after - noise) <= farthest) return {};
  const auto decibels = [&](double of) { return 10.0 * std::log10(std::max(signal, 1e-30) / of); };
  std::array<char, 160> words{};
  std::snprintf(words.data(), words.size(),
                "what training rounded answers with %.2f dB to float, and its int8 with %.2f: more than %.1f dB apart",
                decibels(noise), decibels(after), farthest_db);
  return fail(ErrorCode::refused, words.data());
}

Status check_same_classes(const Tensor& truth, const Tensor& fake, const Tensor& converted) {
  const Tensor wanted = truth.argmax(1);
  const auto alike = [&](const Tensor& answers) { return (answers.argmax(1) == wanted).sum().item<std::int64_t>(); };
  const std::int64_t of_fake = alike(fake);
  const std::int64_t of_converted = alike(converted);
  const auto all = static_cast<double>(wanted.numel());
  if (std::abs(of_fake - of_converted) <= std::max(1.0, farthest_share * all)) return {};
  std::array<char, 200> words{};
  std::snprintf(words.data(), words.size(),
                "what training rounded names %.2f %% of the classes as float does, and its int8 %.2f %%: more than %.1f point apart",
                100.0 * static_cast<double>(of_fake) / all, 100.0 * static_cast<double>(of_converted) / all,
                100.0 * farthest_share);
  return fail(ErrorCode::refused, words.data());
}

}  // namespace outcrop::quantize
