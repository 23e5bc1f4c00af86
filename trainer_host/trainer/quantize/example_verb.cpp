#include "trainer_host/trainer/quantize/example_verb.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <torch/torch.h>

#include <cstdio>
#include <memory>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/network_builder.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::quantize {
namespace fs = std::filesystem;
namespace {

using torch::Tensor;

constexpr std::int64_t classes = 6;
constexpr std::int64_t length = 64;
constexpr std::int64_t training_rows = 512;
constexpr std::int64_t test_rows = 256;

// Signals of one wave each, whose frequency is the class, at any phase and loudness, in noise.
struct Signals {
  Tensor x;       // float32 [rows, 1, length]
  Tensor target;  // int64 [rows]
};

Signals drawn_signals(std::int64_t rows, std::uint64_t seed) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  Signals signals;
  signals.target = torch::randint(0, classes, {rows}, random, torch::kLong);
  const Tensor phase = torch::rand({rows, 1}, random) * 6.2831853;
  const Tensor loudness = torch::rand({rows, 1}, random) + 0.5;
  const Tensor turns = (signals.target + 2).reshape({rows, 1}).to(torch::kFloat) * 6.2831853 / length;
  const Tensor wave = loudness * torch::sin(turns * torch::arange(length).to(torch::kFloat) + phase);
  signals.x = (wave + 0.6 * torch::randn({rows, length}, random)).reshape({rows, 1, length}).contiguous();
  return signals;
}

torch::jit::Module untrained() {
  models::NetworkBuilder builder("Waves", at::detail::createCPUGenerator(1));
  builder.convolution1d("first", {.in_channels = 1, .out_channels = 32, .kernel = 9, .stride = 2, .padding = 4});
  builder.convolution1d("second", {.in_channels = 32, .out_channels = 64, .kernel = 5, .stride = 2, .padding = 2});
  builder.linear("hidden", 64 * length / 4, 128, true);
  builder.linear("classes", 128, classes);
  return builder.finish(R"(
def forward(self, x):
    x = torch.relu(self.second.forward(torch.relu(self.first.forward(x))))
    return self.classes.forward(torch.relu(self.hidden.forward(torch.flatten(x, 1))))
)");
}

void train(torch::jit::Module& model, const Signals& signals) {
  std::vector<Tensor> parameters;
  for (const Tensor& tensor : model.parameters()) parameters.push_back(tensor.requires_grad_(true));
  torch::optim::Adam adam(parameters, torch::optim::AdamOptions(0.002));
  at::Generator random = at::detail::createCPUGenerator(2);
  constexpr int steps = 120;
  for (int step = 0; step < steps; ++step) {
    const Tensor rows = torch::randint(0, training_rows, {64}, random, torch::kLong);
    adam.zero_grad();
    torch::cross_entropy_loss(model.forward({signals.x.index_select(0, rows)}).toTensor(),
                              signals.target.index_select(0, rows))
        .backward();
    adam.step();
  }
  for (Tensor& tensor : parameters) tensor.requires_grad_(false);
}

Status write_rows(const fs::path& folder, const Signals& signals) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  const std::vector<runtime::Tensor> tensors{models::plain_tensor("x", signals.x),
                                             models::plain_tensor("target", signals.target)};
  return runtime::write_tensor_file(folder / "rows.safetensors", tensors);
}

constexpr const char* configuration = R"(# How to quantize, for outcrop quantize --config.
method = "gptq-4bit"
group_size = 32        # weights of a row that share a scale
damp_percent = 0.01
desc_act = false
)";

Status write_example(const fs::path& folder) {
  const fs::path file = folder / "waves.pt";
  if (fs::exists(file)) return fail(ErrorCode::already_exists, file.string() + " is there already");
  const Signals training = drawn_signals(training_rows, 3);
  const Signals test = drawn_signals(test_rows, 4);
  OUTCROP_CHECK(write_rows(folder / "rows", training));
  OUTCROP_CHECK(write_rows(folder / "test", test));
  auto model = untrained();
  train(model, training);
  model.eval();
  std::ostringstream bytes;
  model.save(bytes);
  OUTCROP_CHECK(write_file_durably(file, bytes.str()));
  OUTCROP_CHECK(write_file_durably(folder / "gptq.toml", configuration));
  const torch::NoGradGuard no_gradient;
  const Tensor right = model.forward({test.x}).toTensor().argmax(1).eq(test.target);
  const std::string at = folder.string();
  std::printf("%s tells %lld kinds of waves apart: %.1f %% of %lld test signals are right.\n\n"
              "  outcrop recommend %s/waves.pt --calibration %s/rows\n"
              "  outcrop quantize %s/waves.pt %s/int8 --method static,dynamic --calibration %s/rows\n"
              "  outcrop quantize %s/waves.pt %s/mixed --method mixed --min-db 35 --calibration %s/rows\n"
              "  outcrop quantize %s/waves.pt %s/gptq --config %s/gptq.toml --calibration %s/rows\n"
              "  outcrop analyze %s/waves.pt %s/int8/waves_int8-qint8.ptl %s/report --data %s/test --loss cross-entropy\n"
              "  outcrop compare %s/int8 %s/gptq %s/comparison\n",
              file.c_str(), static_cast<long long>(classes), 100.0 * right.to(torch::kDouble).mean().item<double>(),
              static_cast<long long>(test_rows), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(),
              at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(), at.c_str(),
              at.c_str(), at.c_str());
  return {};
}

}  // namespace

void add_example(CLI::App& app, cli::Action& chosen) {
  auto folder = std::make_shared<fs::path>();
  CLI::App* verb = app.add_subcommand(
      "example", "A small trained model with rows, made in two seconds, and what to type to quantize it.");
  verb->add_option("DIR", *folder, "A folder for it")->required();
  verb->footer("Example:\n  outcrop example waves");
  verb->callback([folder, &chosen] {
    chosen = [folder] { return write_example(*folder); };
  });
}

}  // namespace outcrop::quantize
