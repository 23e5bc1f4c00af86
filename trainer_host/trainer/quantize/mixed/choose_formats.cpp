#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>

namespace outcrop::quantize {
namespace {

constexpr std::size_t most_tried_all = 14;  // layers: 16384 choices
constexpr std::size_t most_starts = 6;       // of more layers: what changes begin with

// What goes from floats to codes or back before a layer, milliseconds.
double border_ms(const LayerFigures& layer, bool before_is_int8, bool is_int8) {
  const bool from_int8 = before_is_int8 && !layer.first;
  if (from_int8 == is_int8) return 0.0;
  return is_int8 ? layer.enter_ms : layer.leave_ms;
}

double layer_ms(const LayerFigures& layer, bool is_int8) {
  return is_int8 ? layer.int8_ms + layer.end_ms : layer.float_ms;
}

// What a unit of noise, time and size is worth against the others.
struct Weights {
  double noise = 0.0;
  double ms = 0.0;
  double bytes = 0.0;
};

// The formats of the least weighted sum, exactly: borders depend on neighbours only.
Formats along_chain(const std::vector<LayerFigures>& layers, const Weights& weights) {
  const std::size_t count = layers.size();
  std::vector<std::array<bool, 2>> came_from(count);
  std::array<double, 2> least{0.0, std::numeric_limits<double>::infinity()};  // of float, of int8, so far
  for (std::size_t i = 0; i < count; ++i) {
    std::array<double, 2> next{};
    for (const bool is_int8 : {false, true}) {
      const double own = weights.ms * layer_ms(layers[i], is_int8) +
                         (is_int8 ? weights.noise * layers[i].noise : weights.bytes * layers[i].more_bytes);
      const double by_float = least[0] + weights.ms * border_ms(layers[i], false, is_int8);
      const double by_int8 = least[1] + weights.ms * border_ms(layers[i], true, is_int8);
      came_from[i][is_int8] = by_int8 < by_float;
      next[is_int8] = own + std::min(by_float, by_int8);
    }
    least = next;
  }
  Formats formats(count);
  bool is_int8 = least[1] < least[0];
  for (std::size_t i = count; i-- > 0;) {
    formats[i] = is_int8;
    is_int8 = came_from[i][is_int8];
  }
  return formats;
}

// From nothing to everything, each against the sum over all layers.
std::vector<Formats> along_trade_offs(const std::vector<LayerFigures>& layers) {
  Weights whole;
  for (const LayerFigures& layer : layers) {
    whole.noise += layer.noise;
    whole.ms += std::abs(layer.int8_ms - layer.float_ms) + layer.enter_ms + layer.leave_ms;
    whole.bytes += layer.more_bytes;
  }
  const auto share = [](double value) { return value > 0.0 ? 1.0 / value : 0.0; };
  std::vector<double> steps{0.0};
  for (double step = 1e-6; step < 2e6; step *= 4.0) steps.push_back(step);
  std::vector<Formats> found;
  for (const double ms : steps) {
    for (const double bytes : steps) {
      found.push_back(along_chain(layers, {share(whole.noise), ms * share(whole.ms), bytes * share(whole.bytes)}));
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<Formats> all_of(std::size_t count) {
  std::vector<Formats> all;
  for (std::size_t bits = 0; bits < (std::size_t{1} << count); ++bits) {
    Formats formats(count);
    for (std::size_t i = 0; i < count; ++i) formats[i] = ((bits >> i) & 1U) != 0;
    all.push_back(std::move(formats));
  }
  return all;
}

struct Candidate {
  Formats formats;
  Whole whole;
};

bool goes_before(const Candidate& one, const Candidate& other, const kinds::MixedWishes& wishes) {
  const double beyond = excess(one.whole, wishes);
  const double other_beyond = excess(other.whole, wishes);
  if (beyond != other_beyond) return beyond < other_beyond;
  return is_better(one.whole, other.whole, wishes.wanted());
}

}  // namespace

double Whole::db() const {
  constexpr double most = 150.0;
  return noise > 0.0 ? std::min(most, -10.0 * std::log10(noise)) : most;
}

Whole predicted(const std::vector<LayerFigures>& layers, const Formats& formats, const Whole& rest) {
  Whole whole = rest;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    whole.ms += layer_ms(layers[i], formats[i]) + border_ms(layers[i], i > 0 && formats[i - 1], formats[i]);
    if (formats[i]) {
      whole.noise += layers[i].noise;
    } else {
      whole.bytes += layers[i].more_bytes;
    }
  }
  return whole;
}

double excess(const Whole& whole, const kinds::MixedWishes& wishes) {
  double beyond = 0.0;
  if (wishes.budget_ms) beyond += std::max(0.0, whole.ms / *wishes.budget_ms - 1.0);
  if (wishes.budget_size) {
    beyond += std::max(0.0, whole.bytes / static_cast<double>(wishes.budget_size->value()) - 1.0);
  }
  if (wishes.min_db) beyond += std::max(0.0, *wishes.min_db - whole.db()) / std::max(1.0, *wishes.min_db);
  return beyond;
}

bool keeps(const Whole& whole, const kinds::MixedWishes& wishes) {
  return excess(whole, wishes) <= 0.0;
}

bool is_better(const Whole& one, const Whole& other, kinds::Aim aim) {
  const auto by = [aim](const Whole& whole) {
    switch (aim) {
      case kinds::Aim::speed: return std::tuple(whole.ms, whole.noise, whole.bytes);
      case kinds::Aim::size: return std::tuple(whole.bytes, whole.noise, whole.ms);
      case kinds::Aim::accuracy: break;
    }
    return std::tuple(whole.noise, whole.ms, whole.bytes);
  };
  return by(one) < by(other);
}

Formats best_formats(const std::vector<LayerFigures>& layers, const kinds::MixedWishes& wishes,
                     const std::function<Whole(const Formats&)>& judge) {
  const auto judged = [&](Formats formats) {
    Whole whole = judge(formats);
    return Candidate{std::move(formats), whole};
  };
  const bool all = layers.size() <= most_tried_all;
  std::vector<Candidate> found;
  for (Formats& formats : all ? all_of(layers.size()) : along_trade_offs(layers)) found.push_back(judged(std::move(formats)));
  const std::size_t starts = all ? 1 : std::min(most_starts, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(starts), found.end(),
                    [&](const Candidate& one, const Candidate& other) { return goes_before(one, other, wishes); });
  found.resize(starts);
  // A change of one layer, or of two: where a bound is reached, one goes for another.
  const auto improve = [&](Candidate& best) {
    bool better = false;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      for (std::size_t other = i; other < layers.size(); ++other) {
        Formats changed = best.formats;
        changed[i] = !changed[i];
        if (other != i) changed[other] = !changed[other];
        Candidate candidate = judged(std::move(changed));
        if (!goes_before(candidate, best, wishes)) continue;
        best = std::move(candidate);
        better = true;
      }
    }
    return better;
  };
  for (Candidate& one : found) {
    while (!all && improve(one)) {
    }
  }
  return std::min_element(found.begin(), found.end(), [&](const Candidate& one, const Candidate& other) {
           return goes_before(one, other, wishes);
         })->formats;
}

}  // namespace outcrop::quantize
