// outcrop-bench-training: one training step by the fast path beside plain autograd.

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "protocol/base/processors.hpp"
#include "platform/console/table.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/models/freed_memory.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/step.hpp"

namespace outcrop::bench {
namespace {

using nlohmann::ordered_json;
using torch::Tensor;

double milliseconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

std::string number(double value, const char* format = "%.1f") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

generator::Batch random_batch(std::int64_t samples) {
  torch::manual_seed(1);
  return {torch::rand({samples, 1, 70, 70}) * 2 - 1, torch::rand({samples, 5, 1000, 70}) * 2 - 1,
          torch::ones({samples, 5, 1, 1})};
}

// The same network as anybody would train it: LibTorch's own transposed convolution, losses of
// tensor operations, torch::optim.
class PlainStep {
 public:
  explicit PlainStep(generator::Generator networks)
      : networks_(std::move(networks)), optimizer_(tensors(), {1e-3}) {}

  void operator()(const generator::Batch& batch) {
    const auto& shape = networks_.shape;
    optimizer_.zero_grad();
    const auto latent = run(networks_.encoder, generator::encoder_layers(shape), batch.velocity);
    const auto map =
        run(networks_.velocity_decoder, generator::velocity_decoder_layers(shape), latent);
    const auto gathers =
        run(networks_.seismic_decoder, generator::seismic_decoder_layers(shape), latent.detach());
    const auto of_map = map - batch.velocity;
    const auto of_gathers = (gathers - batch.gathers) * batch.shot_weight;
    const auto loss = of_map.abs().mean() + of_map.pow(2).mean() + of_gathers.abs().mean() +
                      of_gathers.pow(2).mean();
    loss.backward();
    torch::nn::utils::clip_grad_norm_(optimizer_.param_groups()[0].params(), 1.0);
    optimizer_.step();
  }

 private:
  [[nodiscard]] std::vector<Tensor> tensors() const {
    std::vector<Tensor> result;
    for (const auto* network :
         {&networks_.encoder, &networks_.velocity_decoder, &networks_.seismic_decoder}) {
      for (const Tensor& tensor : network->parameters()) result.push_back(tensor);
    }
    return result;
  }

  static Tensor run(const torch::jit::Module& network, const std::vector<models::Layer>& layers,
                    Tensor x) {
    const auto value = [](const torch::jit::Module& module, const char* name) {
      return module.attr(name).toTensor();
    };
    for (const models::Layer& layer : layers) {
      const auto child = network.attr(layer.name).toModule();
      const auto weight = value(child, "weight");
      const auto bias = value(child, "bias");
      x = layer.kind == models::Layer::Kind::transposed_convolution
              ? torch::conv_transpose2d(x, weight, bias, layer.stride, layer.padding)
              : torch::conv2d(x, weight, bias, layer.stride, layer.padding);
      if (layer.batch_norm) {
        const auto norm = network.attr(layer.name + "_norm").toModule();
        x = torch::batch_norm(x, value(norm, "weight"), value(norm, "bias"),
                              value(norm, "running_mean"), value(norm, "running_var"), true, 0.1,
                              1e-5, false);
      }
      if (layer.relu) x = torch::relu(x);
      if (const auto& grid = layer.grid; grid.rows > 0) {
        x = x.reshape({-1, grid.channels, grid.rows, grid.columns});
      }
    }
    return x;
  }

  generator::Generator networks_;
  torch::optim::AdamW optimizer_;
};

// A step as training makes it, but for loading the samples.
class FastStep {
 public:
  FastStep() : task_(generator::GeneratorRecipe(), {}, 1) { task_.set_training(true); }

  void operator()(const generator::Batch& batch) {
    optimizer_.zero_gradients();
    task_.loss(batch).total.backward();
    optimizer_.step(1e-3, std::min(1.0, 1.0 / std::max(optimizer_.gradient_norm(), 1e-12)));
  }

 private:
  generator::GeneratorTask task_;
  train::Adam optimizer_ = train::make_optimizer(task_.phase(1), {});
};

void set_blas_threads(int threads) {
  if (auto* set =
          reinterpret_cast<void (*)(int)>(::dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) {
    set(threads);
  }
}

ordered_json compare_steps(const generator::Batch& batch, int repetitions) {
  FastStep fast;
  PlainStep plain(generator::make_generator({}, 1));
  std::vector<double> fast_ms, plain_ms, ratios;
  fast(batch);
  plain(batch);
  for (int i = 0; i < repetitions; ++i) {
    fast_ms.push_back(milliseconds_of([&] { fast(batch); }));
    plain_ms.push_back(milliseconds_of([&] { plain(batch); }));
    ratios.push_back(plain_ms.back() / fast_ms.back());
  }
  const auto samples = static_cast<double>(batch.velocity.size(0));
  Table table({"step", "ms", "ms a sample", "samples a second"});
  const auto add = [&](const char* name, double ms) {
    table.add_row({name, number(ms), number(ms / samples), number(1000 * samples / ms)});
  };
  add("fast path", median(fast_ms));
  add("plain autograd", median(plain_ms));
  std::printf("One training step, batch of %ld, %d threads; medians of %d, interleaved\n%s",
              static_cast<long>(batch.velocity.size(0)), at::get_num_threads(), repetitions,
              table.to_string().c_str());
  std::printf("plain / fast: %s\n\n", number(median(ratios), "%.2f").c_str());
  return {{"batch", batch.velocity.size(0)},
          {"threads", at::get_num_threads()},
          {"fast_ms", median(fast_ms)},
          {"plain_ms", median(plain_ms)},
          {"plain_over_fast", median(ratios)},
          {"fast_samples_per_second", 1000 * samples / median(fast_ms)}};
}

// LibTorch's threads by OpenBLAS's: do the two pools fight here?
ordered_json compare_threads(const generator::Batch& batch, int repetitions) {
  const int processors = static_cast<int>(available_processors());
  std::vector<std::pair<int, int>> plans{{1, 1}};
  if (processors > 1) plans.insert(plans.end(), {{processors, 1}, {processors, processors}});
  FastStep fast;
  fast(batch);
  std::vector<std::vector<double>> times(plans.size());
  for (int i = 0; i < repetitions; ++i) {
    for (std::size_t k = 0; k < plans.size(); ++k) {
      at::set_num_threads(plans[k].first);
      set_blas_threads(plans[k].second);
      times[k].push_back(milliseconds_of([&] { fast(batch); }));
    }
  }
  Table table({"LibTorch threads", "OpenBLAS threads", "ms a step"});
  ordered_json rows = ordered_json::array();
  for (std::size_t k = 0; k < plans.size(); ++k) {
    const double ms = median(times[k]);
    table.add_row({std::to_string(plans[k].first), std::to_string(plans[k].second), number(ms)});
    rows.push_back(
        {{"libtorch_threads", plans[k].first}, {"openblas_threads", plans[k].second}, {"ms", ms}});
  }
  std::printf("Threads, fast path\n%s", table.to_string().c_str());
  return rows;
}

int run(bool quick, const std::string& json_file) {
  models::keep_freed_memory();
  std::printf("%s\n\n", train::set_threads(0).c_str());
  const auto batch = random_batch(8);
  ordered_json result;
  result["step"] = compare_steps(batch, quick ? 3 : 11);
  result["threads"] = compare_threads(batch, quick ? 3 : 11);
  if (json_file.empty()) return 0;
  const Status written = write_file_durably(json_file, json_text(result, 2) + "\n");
  if (!written) std::fprintf(stderr, "%s\n", written.error().message().c_str());
  return written ? 0 : 1;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  CLI::App app{"One training step by the fast path beside plain autograd.",
               "outcrop-bench-training"};
  bool quick = false;
  std::string json_file;
  app.add_flag("--quick", quick, "Fewer repetitions");
  app.add_option("--json", json_file, "Write the figures to this file as well");
  CLI11_PARSE(app, argc, argv);
  try {
    return outcrop::bench::run(quick, json_file);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outcrop-bench-training: %s\n", error.what());
    return 1;
  }
}
