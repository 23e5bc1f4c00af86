// outcrop-map-encoder: the recipe of the features that generated maps are judged by (kinds/generator/distances). Trains a
// small network on maps of data/earth_model, blurred and noisy at random, to say of which family a map is, how blurred and
// how noisy, and what its velocities are; writes its weights, which the product brings. Run again only for features of
// another version: distances by other weights cannot be compared.
//
//   outcrop-map-encoder FILE [--steps N]
//
// Prints what it came to on maps that it was not trained on.

#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/data/counter_random.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/kinds/generator/blur.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"

namespace outcrop::bench {
namespace {

using generator::MapEncoder;
using torch::Tensor;

constexpr std::int64_t rows = 70;
constexpr std::int64_t columns = 70;
constexpr std::int64_t batch = 32;
constexpr double blurs[] = {0.0, 0.6, 1.2, 2.4};   // standard deviation in cells
constexpr double noises[] = {0.0, 0.02, 0.08};     // of normalized velocity
constexpr std::int64_t kinds_of_blur = 4;
constexpr std::int64_t kinds_of_noise = 3;
constexpr std::int64_t families = 2;
constexpr std::int64_t cells = 25;  // of a map of 5 x 5 means
constexpr std::int64_t answers = kinds_of_blur + kinds_of_noise + families + cells;

struct Batch {
  Tensor maps;
  Tensor blur;
  Tensor noise;
  Tensor family;
  Tensor velocities;
};

Batch make_batch(std::uint64_t seed, std::uint64_t first) {
  Batch made;
  std::vector<Tensor> maps;
  std::vector<std::int64_t> blur;
  std::vector<std::int64_t> noise;
  std::vector<std::int64_t> family;
  for (std::uint64_t i = 0; i < batch; ++i) {
    data::CounterRandom random(seed, first + i);
    family.push_back(static_cast<std::int64_t>(random.below(families)));
    blur.push_back(static_cast<std::int64_t>(random.below(kinds_of_blur)));
    noise.push_back(static_cast<std::int64_t>(random.below(kinds_of_noise)));
    Tensor map = torch::empty({1, 1, rows, columns});
    data::make_velocity_map(family.back() == 0 ? data::Family::flatvel_a : data::Family::curvefault_a, seed, first + i,
                            {map.data_ptr<float>(), static_cast<std::size_t>(map.numel())});
    map = (map - 3000.0) / 1500.0;
    if (blurs[blur.back()] > 0) map = generator::blurred(map, blurs[blur.back()]);
    if (noise.back() > 0) map = map + torch::randn_like(map) * noises[noise.back()];
    maps.push_back(random.below(2) == 1 ? map.flip(3) : map);
  }
  made.maps = torch::cat(maps);
  made.blur = torch::tensor(blur);
  made.noise = torch::tensor(noise);
  made.family = torch::tensor(family);
  made.velocities = torch::adaptive_avg_pool2d(made.maps, {5, 5}).flatten(1);
  return made;
}

struct Answer {
  Tensor blur;
  Tensor noise;
  Tensor family;
  Tensor velocities;
};

Answer answer_of(const Tensor& features, const Tensor& weight, const Tensor& bias) {
  const auto parts = torch::linear(features, weight, bias).split_with_sizes({kinds_of_blur, kinds_of_noise, families, cells}, 1);
  return {parts[0], parts[1], parts[2], parts[3]};
}

int run(int argc, char** argv) {
  CLI::App app{"Trains the features that generated maps are judged by, and writes their weights."};
  std::filesystem::path file;
  int steps = 4000;
  app.add_option("FILE", file, "of float16 values, as the product's build takes it")->required();
  app.add_option("--steps", steps, "of 32 maps each");
  CLI11_PARSE(app, argc, argv);

  torch::manual_seed(1);
  std::vector<Tensor> weights;
  for (const auto& shape : MapEncoder::shapes()) {
    const double fan = shape.size() == 4 ? static_cast<double>(shape[1] * 9) : 1.0;
    weights.push_back(shape.size() == 4 ? torch::randn(shape) * std::sqrt(2.0 / fan) : torch::zeros(shape));
  }
  weights.back().fill_(1);
  Tensor head = torch::randn({answers, MapEncoder::features}) * 0.1;
  Tensor bias = torch::zeros({answers});
  std::vector<Tensor> trained(weights.begin(), weights.end() - 2);
  trained.push_back(head);
  trained.push_back(bias);
  for (Tensor& one : trained) one.requires_grad_(true);
  torch::optim::Adam optimizer(trained, torch::optim::AdamOptions(2e-3));
  const MapEncoder encoder(weights);
  for (int step = 0; step < steps; ++step) {
    const double rate = 2e-3 * 0.5 * (1 + std::cos(3.14159265 * step / steps));
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options()).lr(rate);
    const Batch given = make_batch(1, static_cast<std::uint64_t>(step) * batch);
    const Answer answer = answer_of(encoder.raw(given.maps), head, bias);
    const Tensor loss = torch::cross_entropy_loss(answer.blur, given.blur) + torch::cross_entropy_loss(answer.noise, given.noise) +
                        torch::cross_entropy_loss(answer.family, given.family) + 10 * torch::mse_loss(answer.velocities, given.velocities);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step % 500 == 0) std::printf("step %d of %d: loss %.3f\n", step, steps, loss.item<double>());
    std::fflush(stdout);
  }

  const torch::NoGradGuard no_gradient;
  std::vector<Tensor> seen;
  double right[3] = {0, 0, 0};
  double error = 0;
  constexpr int held_out = 32;
  for (std::uint64_t i = 0; i < held_out; ++i) {
    const Batch given = make_batch(2, i * batch);
    seen.push_back(encoder.raw(given.maps));
    const Answer answer = answer_of(seen.back(), head, bias);
    const auto share = [](const Tensor& told, const Tensor& truth) {
      return (told.argmax(1) == truth).to(torch::kDouble).mean().item<double>() / held_out;
    };
    right[0] += share(answer.blur, given.blur);
    right[1] += share(answer.noise, given.noise);
    right[2] += share(answer.family, given.family);
    error += torch::mse_loss(answer.velocities, given.velocities).item<double>() / held_out;
  }
  const Tensor all = torch::cat(seen);
  weights[weights.size() - 2] = all.mean(0);
  weights.back() = all.std(0).clamp_min(1e-3);
  std::printf("held out: blur %.3f right, noise %.3f, family %.3f; velocities %.0f m/s off\n", right[0], right[1], right[2],
              1500 * std::sqrt(error));
  std::string bytes;
  for (const Tensor& weight : weights) {
    const Tensor half = weight.detach().to(torch::kHalf).contiguous();
    bytes.append(static_cast<const char*>(half.data_ptr()), half.nbytes());
  }
  const Status written = write_file_durably(file, bytes);
  if (!written) {
    std::fprintf(stderr, "outcrop-map-encoder: %s\n", written.error().message().c_str());
    return 1;
  }
  std::printf("%s: %zu bytes, digest %s\n", file.c_str(), bytes.size(), MapEncoder(weights).digest().c_str());
  return 0;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) { return outcrop::bench::run(argc, argv); }
