#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/generator/scores/reflections.hpp"

namespace outcrop::generator {

// Whether generated pairs obey the wave equation: how far gathers d are from F(v), those that our solver
// makes of the very map v they came with, ‖d − F(v)‖₂ / ‖F(v)‖₂. Nothing that was recorded is needed for
// it, and a model that learned the distribution of gathers, but not which belong to which map, scores as
// another pair's gathers do.

// F(map): shots × times × width pressures; shots side by side. Errors are AcousticSolver's.
[[nodiscard]] Result<std::vector<float>> solved_gathers(std::span<const float> map,
                                                        const data::Geometry& geometry);

// A figure of many pairs: four fifths of them lie from `low` to `high`.
struct Interval {
  double median = 0.0;
  double low = 0.0;   // the 10th percentile
  double high = 0.0;  // the 90th
};
// None of no values. NaN counts as larger than all.
[[nodiscard]] std::optional<Interval> interval_of(std::vector<double> values);

// Of one maker of gathers, over pairs.
struct PhysicsLine {
  std::string name;  // "float", "another pair's gathers"
  std::size_t pairs = 0;
  // On the scale of training, sign(p)·log(1 + |p|), and in pressure; whole, and with the direct wave
  // muted by the pair's own map. None where no pair has such a figure.
  std::optional<Interval> log_whole{};
  std::optional<Interval> log_muted{};
  std::optional<Interval> whole{};
  std::optional<Interval> muted{};
};

class PhysicsSum {
 public:
  PhysicsSum(std::string name, const data::Geometry& geometry)
      : name_(std::move(name)), geometry_(geometry) {}

  // `solved`: solved_gathers() of `map`.
  void add(std::span<const float> map, std::span<const float> solved,
           std::span<const float> gathers);
  [[nodiscard]] PhysicsLine line() const;

 private:
  struct Values {
    std::vector<double> whole;
    std::vector<double> muted;
    void add(const GatherError& error);
  };
  std::string name_;
  const data::Geometry& geometry_;
  std::size_t pairs_ = 0;
  Values logarithmic_;
  Values physical_;
};

}  // namespace outcrop::generator
