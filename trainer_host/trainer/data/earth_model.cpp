#include "trainer_host/trainer/data/earth_model.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::data {
namespace {

// Lengths in cells.
constexpr double thinnest_layer = 8.0;
constexpr std::size_t fewest_layers = 2;
constexpr std::size_t most_layers = 4;

struct Layers {
  std::vector<double> interfaces;  // depths, growing
  std::vector<float> velocities;   // one more, growing

  // From the top, 0 the uppermost.
  [[nodiscard]] std::size_t number_at(double z) const {
    const auto below = std::upper_bound(interfaces.begin(), interfaces.end(), z);
    return static_cast<std::size_t>(below - interfaces.begin());
  }
};

Layers draw_layers(CounterRandom& random, const Geometry& geometry) {
  const std::size_t count = fewest_layers + random.below(most_layers - fewest_layers + 1);
  Layers layers;
  for (std::size_t i = 0; i < count; ++i) {
    layers.velocities.push_back(static_cast<float>(
        random.uniform(static_cast<double>(geometry.slowest), static_cast<double>(geometry.fastest))));
  }
  // Sorted places in what the thinnest layers leave over, then each layer gets its least part.
  const auto depth = static_cast<double>(geometry.depth);
  const double spare = depth - static_cast<double>(count) * thinnest_layer;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    layers.interfaces.push_back(random.uniform(0.0, spare));
  }
  std::sort(layers.velocities.begin(), layers.velocities.end());
  std::sort(layers.interfaces.begin(), layers.interfaces.end());
  for (std::size_t i = 0; i < layers.interfaces.size(); ++i) {
    layers.interfaces[i] += static_cast<double>(i + 1) * thinnest_layer;
  }
  return layers;
}

// A sine along x that all layers of a map follow.
struct Bend {
  double amplitude;
  double wavelength;
  double phase;  // in turns

  [[nodiscard]] double at(double x) const {
    return amplitude * sine_of_turns(x / wavelength + phase);
  }
};

Bend draw_bend(CounterRandom& random, double width) {
  return {random.uniform(2.0, 9.0), random.uniform(0.5 * width, 2.0 * width),
          random.uniform(0.0, 1.0)};
}

// A straight line x = x0 + lean * (z - depth / 2); what lies right of it is shifted along it.
struct Fault {
  double middle;
  double centre;  // depth / 2
  double lean;    // columns a row: 0 is vertical, 1 dips at 45 degrees
  double throw_;  // rows, downwards where positive

  // Columns right of the line.
  [[nodiscard]] double right_of(double x, double z) const {
    return x - middle - lean * (z - centre);
  }
};

Fault draw_fault(CounterRandom& random, double width, double depth) {
  const double middle = random.uniform(0.2 * width, 0.8 * width);
  const double lean = random.uniform(-0.8, 0.8);
  const double size = random.uniform(5.0, 18.0);
  return {middle, 0.5 * depth, lean, random.below(2) == 0 ? size : -size};
}

// What one sample is made of.
struct Earth {
  bool bent;
  Layers layers;
  Bend bend;
  Fault fault;

  [[nodiscard]] std::size_t layer_at(std::size_t row, std::size_t column) const {
    double x = static_cast<double>(column) + 0.5;
    double z = static_cast<double>(row) + 0.5;
    if (bent && fault.right_of(x, z) > 0.0) {
      z -= fault.throw_;
      x -= fault.lean * fault.throw_;
    }
    return layers.number_at(z - bend.at(x));
  }
  [[nodiscard]] bool is_in_fault_zone(std::size_t row, std::size_t column) const {
    if (!bent) return false;
    const double across = fault.right_of(static_cast<double>(column) + 0.5,
                                         static_cast<double>(row) + 0.5) /
                          std::sqrt(1.0 + fault.lean * fault.lean);
    return std::fabs(across) <= cell::fault_zone_reach;
  }
};

Earth draw_earth(Family family, std::uint64_t seed, std::uint64_t sample,
                 const Geometry& geometry) {
  CounterRandom random(seed, sample);
  const auto depth = static_cast<double>(geometry.depth);
  const auto width = static_cast<double>(geometry.width);
  const bool bent = family == Family::curvefault_a;
  Layers layers = draw_layers(random, geometry);
  const Bend bend = bent ? draw_bend(random, width) : Bend{0.0, width, 0.0};
  const Fault fault = bent ? draw_fault(random, width, depth) : Fault{0.0, 0.0, 0.0, 0.0};
  return {bent, std::move(layers), bend, fault};
}

}  // namespace

double sine_of_turns(double turns) {
  double part = turns - std::floor(turns + 0.5);  // -0.5 ... 0.5
  if (part > 0.25) part = 0.5 - part;
  if (part < -0.25) part = -0.5 - part;
  const double angle = 6.28318530717958647692 * part;
  const double square = angle * angle;
  double term = angle;
  double sum = angle;
  for (int n = 1; n <= 9; ++n) {
    term *= -square / (2 * n * (2 * n + 1));
    sum += term;
  }
  return sum;
}

std::string_view to_string(Family family) {
  return family == Family::flatvel_a ? "flatvel-a" : "curvefault-a";
}

Result<Family> parse_family(std::string_view name) {
  for (const Family family : {Family::flatvel_a, Family::curvefault_a}) {
    if (name == to_string(family)) return family;
  }
  return fail(ErrorCode::invalid_argument, "there is no family '" + std::string(name) +
                                               "'; known are curvefault-a and flatvel-a");
}

namespace cell {

std::string_view name(std::int64_t value) {
  static constexpr std::array<std::string_view, classes> names{"layer 1", "layer 2", "layer 3",
                                                               "layer 4", "fault zone"};
  return names[static_cast<std::size_t>(value)];
}

}  // namespace cell

void make_velocity_map(Family family, std::uint64_t seed, std::uint64_t sample,
                       std::span<float> velocity, const Geometry& geometry) {
  const Earth earth = draw_earth(family, seed, sample, geometry);
  for (std::size_t row = 0; row < geometry.depth; ++row) {
    for (std::size_t column = 0; column < geometry.width; ++column) {
      velocity[row * geometry.width + column] = earth.layers.velocities[earth.layer_at(row, column)];
    }
  }
}

void make_labels(Family family, std::uint64_t seed, std::uint64_t sample,
                 std::span<std::int64_t> labels, const Geometry& geometry) {
  const Earth earth = draw_earth(family, seed, sample, geometry);
  for (std::size_t row = 0; row < geometry.depth; ++row) {
    for (std::size_t column = 0; column < geometry.width; ++column) {
      labels[row * geometry.width + column] =
          earth.is_in_fault_zone(row, column)
              ? cell::fault_zone
              : static_cast<std::int64_t>(earth.layer_at(row, column));
    }
  }
}

}  // namespace outcrop::data
