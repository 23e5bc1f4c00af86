#include "trainer_host/trainer/kinds/classifier/pixels.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::classifier {
namespace {

using torch::Tensor;

constexpr std::size_t pixel_values = 256;
constexpr double smallest_spread = 1.0;  // of pixels: images of one colour are not blown up

std::vector<std::array<std::int64_t, pixel_values>> histograms(const data::LabelledImages& images) {
  std::vector<std::array<std::int64_t, pixel_values>> counts(images.shape.channels);
  const std::size_t plane = images.shape.rows * images.shape.columns;
  for (std::size_t at = 0; at < images.pixels.size(); ++at) {
    ++counts[at / plane % images.shape.channels][images.pixels[at]];
  }
  return counts;
}

// What a batch's shifts are drawn from: FNV-1a (Fowler, Noll, Vo) of which samples it has.
std::uint64_t seed_of(std::span<const kinds::Draw> draws) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const kinds::Draw& draw : draws) {
    hash = (hash ^ (draw.sample * 2 + (draw.mirrored ? 1 : 0))) * 1099511628211ULL;
  }
  return hash;
}

// Every pixel's value as the network sees it: [channels, 256].
Tensor scaled_values(const torch::jit::Module& pixel_scale) {
  const auto mean = pixel_scale.attr("mean").toTensor().flatten(1).t();
  const auto scale = pixel_scale.attr("scale").toTensor().flatten(1).t();
  const auto values = torch::arange(static_cast<std::int64_t>(pixel_values), torch::kFloat);
  return ((values.unsqueeze(0) - mean) * scale).contiguous();
}

// One plane, `black` where nothing comes to lie.
void place_plane(const std::uint8_t* from, float* to, const float* values, std::int64_t rows,
                 std::int64_t columns, bool mirrored, std::int64_t down, std::int64_t right) {
  const float black = values[0];
  for (std::int64_t row = 0; row < rows; ++row) {
    float* const line = to + row * columns;
    const std::int64_t source = row - down;
    if (source < 0 || source >= rows) {
      std::fill(line, line + columns, black);
      continue;
    }
    const std::uint8_t* const pixels = from + source * columns;
    for (std::int64_t column = 0; column < columns; ++column) {
      const std::int64_t at = column - right;
      const bool inside = at >= 0 && at < columns;
      line[column] = inside ? values[pixels[mirrored ? columns - 1 - at : at]] : black;
    }
  }
}

}  // namespace

torch::jit::Module make_pixel_scale(const data::LabelledImages& training) {
  const auto channels = static_cast<std::int64_t>(training.shape.channels);
  auto mean = torch::zeros({1, channels, 1, 1});
  auto scale = torch::ones({1, channels, 1, 1});
  const auto counts = histograms(training);
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    std::int64_t number = 0;
    std::int64_t sum = 0;
    std::int64_t squares = 0;
    for (std::size_t value = 0; value < pixel_values; ++value) {
      const std::int64_t count = counts[static_cast<std::size_t>(channel)][value];
      const auto pixel = static_cast<std::int64_t>(value);
      number += count;
      sum += count * pixel;
      squares += count * pixel * pixel;
    }
    if (number == 0) continue;
    const double average = static_cast<double>(sum) / static_cast<double>(number);
    const double variance =
        static_cast<double>(squares) / static_cast<double>(number) - average * average;
    mean[0][channel] = average;
    scale[0][channel] = 1.0 / std::max(std::sqrt(std::max(variance, 0.0)), smallest_spread);
  }
  torch::jit::Module module("__torch__.outcrop.PixelScale",
                            std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  module.register_buffer("mean", mean);
  module.register_buffer("scale", scale);
  return module;
}

const char* scaled_source() {
  return "def scaled(self, images: Tensor) -> Tensor:\n"
         "    return (images - self.mean) * self.scale\n";
}

Batch load_batch(const data::LabelledImages& images, std::span<const kinds::Draw> draws,
                 const torch::jit::Module& pixel_scale, std::int64_t shift) {
  const auto count = static_cast<std::int64_t>(draws.size());
  const auto channels = static_cast<std::int64_t>(images.shape.channels);
  const auto rows = static_cast<std::int64_t>(images.shape.rows);
  const auto columns = static_cast<std::int64_t>(images.shape.columns);
  Batch batch{torch::empty({count, channels, rows, columns}), torch::empty({count}, torch::kLong)};
  const Tensor values = scaled_values(pixel_scale);
  const auto* const table = values.data_ptr<float>();
  auto* const placed = batch.images.data_ptr<float>();
  auto* const labels = batch.labels.data_ptr<std::int64_t>();
  const std::uint64_t seed = seed_of(draws);
  const auto steps = static_cast<std::uint64_t>(2 * shift + 1);
  at::parallel_for(0, count, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const kinds::Draw& draw = draws[static_cast<std::size_t>(i)];
      data::CounterRandom random(seed, static_cast<std::uint64_t>(i));
      const auto down = static_cast<std::int64_t>(random.below(steps)) - shift;
      const auto right = static_cast<std::int64_t>(random.below(steps)) - shift;
      const std::uint8_t* const pixels = images.image(draw.sample).data();
      for (std::int64_t channel = 0; channel < channels; ++channel) {
        place_plane(pixels + channel * rows * columns,
                    placed + (i * channels + channel) * rows * columns,
                    table + channel * static_cast<std::int64_t>(pixel_values), rows, columns,
                    draw.mirrored, down, right);
      }
      labels[i] = images.labels[draw.sample];
    }
  });
  return batch;
}

Tensor raw_images(const data::LabelledImages& images, std::size_t first, std::size_t count) {
  auto pixels = torch::empty({static_cast<std::int64_t>(count),
                              static_cast<std::int64_t>(images.shape.channels),
                              static_cast<std::int64_t>(images.shape.rows),
                              static_cast<std::int64_t>(images.shape.columns)},
                             torch::kFloat);
  const auto* const from = images.pixels.data() + first * images.shape.size();
  std::copy(from, from + count * images.shape.size(), pixels.data_ptr<float>());
  return pixels;
}

}  // namespace outcrop::classifier
