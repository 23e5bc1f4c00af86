#include "trainer_host/trainer/analyze/analysis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace outcrop::analyze {

void Distance::add(const Distance& other) {
  signal += other.signal;
  noise += other.noise;
  sum += other.sum;
  most = std::max(most, other.most);
  values += other.values;
}

std::optional<double> Distance::sqnr_db() const {
  if (values == 0 || noise == 0 || signal == 0) return std::nullopt;
  return 10.0 * std::log10(signal / noise);
}

std::uint64_t Histogram::total() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::vector<const Layer*> Analysis::worst_first() const {
  std::vector<const Layer*> compared;
  for (const Layer& layer : layers) {
    if (layer.output) compared.push_back(&layer);
  }
  const auto rank = [](const Layer* layer) {
    if (layer->output->exact()) return std::numeric_limits<double>::infinity();
    return layer->output->sqnr_db().value_or(-std::numeric_limits<double>::infinity());
  };
  std::stable_sort(compared.begin(), compared.end(),
                   [&](const Layer* a, const Layer* b) { return rank(a) < rank(b); });
  return compared;
}

const Form* Analysis::quantized_form() const {
  return forms.empty() ? nullptr : &forms.back();
}

const Form* Analysis::fastest_float() const {
  const Form* fastest = nullptr;
  for (const Form& form : forms) {
    if (form.role == "quantized" || !form.p50_ms) continue;
    if (fastest == nullptr || *form.p50_ms < *fastest->p50_ms) fastest = &form;
  }
  return fastest;
}

}  // namespace outcrop::analyze
