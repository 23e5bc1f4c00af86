#include "trainer_host/trainer/analyze/contender.hpp"

#include <algorithm>
#include <functional>

namespace outcrop::analyze {
namespace {

constexpr double full_sqnr_db = 60;
constexpr std::size_t most_shapes = 6;
constexpr double worst_nearness = 0.2;  // where errors alone are known

using Value = std::optional<double>;
using ValueOf = std::function<Value(const Contender&)>;

Value known(std::uint64_t bytes) {
  return bytes > 0 ? Value(static_cast<double>(bytes)) : std::nullopt;
}

Value nearness(const Contender& one, double worst) {
  if (one.sqnr_db) return std::clamp(*one.sqnr_db / full_sqnr_db, 0.0, 1.0);
  if (!one.error) return std::nullopt;
  return worst > 0 ? 1.0 - (1.0 - worst_nearness) * *one.error / worst : 1.0;
}

struct Axis {
  std::string name;
  ValueOf value;
  bool less_is_better = true;
};

std::vector<Axis> axes_for(const std::vector<Contender>& contenders) {
  double worst = 0;
  for (const Contender& one : contenders) worst = std::max(worst, one.error.value_or(0.0));
  return {{"small on disk", [](const Contender& one) { return known(one.disk); }},
          {"small in transfer", [](const Contender& one) { return known(one.transfer); }},
          {"near to float", [worst](const Contender& one) { return nearness(one, worst); }, false},
          {"fast", [](const Contender& one) { return one.p50_ms; }},
          {"small in memory", [](const Contender& one) { return known(one.memory); }}};
}

}  // namespace

std::vector<Contender> contenders_of(const Analysis& analysis) {
  std::vector<Contender> contenders;
  for (const Form& form : analysis.forms) {
    Contender one;
    one.name = form.name;
    one.is_float = form.role != "quantized";
    one.disk = form.disk;
    one.transfer = form.transfer;
    one.memory = form.memory;
    one.p50_ms = form.p50_ms;
    one.p90_ms = form.p90_ms;
    if (form.role == "original") {
      one.error = 0.0;
    } else if (form.role == "quantized" && !analysis.outputs.empty()) {
      one.error = analysis.outputs.front().distance.mean();
      one.sqnr_db = analysis.outputs.front().distance.sqnr_db();
      if (!analysis.layers.empty()) one.in_codes = analysis.coverage.multiply_adds_in_codes;
    }
    if (analysis.task && form.role != "fast float") {
      one.metric = analysis.task->metric;
      one.score = form.role == "original" ? analysis.task->before : analysis.task->after;
      if (form.role == "quantized") {
        one.mcnemar = analysis.task->mcnemar;
        one.logits_db = analysis.task->logits_db;
      }
    }
    contenders.push_back(std::move(one));
  }
  return contenders;
}

ByteUnit byte_unit_of(const std::vector<Contender>& contenders) {
  std::uint64_t most = 0;
  for (const Contender& one : contenders) most = std::max(most, one.disk);
  return most < 500'000 ? ByteUnit{"kB", 1e3} : ByteUnit{"MB", 1e6};
}

Radar radar_of(const std::vector<Contender>& contenders) {
  std::vector<Axis> axes = axes_for(contenders);
  // What is not known of those that are to be judged is no axis.
  std::erase_if(axes, [&](const Axis& axis) {
    const auto lacks = [&](const Contender& one) { return !one.is_float && !axis.value(one); };
    return std::any_of(contenders.begin(), contenders.end(), lacks);
  });
  if (axes.size() < 3) return {};
  std::vector<const Contender*> whole;
  for (const Contender& one : contenders) {
    const bool has_float = !whole.empty() && whole.front()->is_float;
    if (whole.size() == most_shapes || (one.is_float && has_float)) continue;
    if (std::all_of(axes.begin(), axes.end(), [&](const Axis& axis) { return axis.value(one).has_value(); })) {
      whole.push_back(&one);
    }
  }
  Radar radar;
  for (const Axis& axis : axes) radar.axes.push_back(axis.name);
  for (const Contender* one : whole) {
    std::vector<double> values;
    for (const Axis& axis : axes) {
      const double own = *axis.value(*one);
      double least = own;
      for (const Contender* other : whole) least = std::min(least, *axis.value(*other));
      values.push_back(!axis.less_is_better ? own : own > 0 ? least / own : 1.0);
    }
    radar.shapes.emplace_back(one->name, std::move(values));
  }
  return radar;
}

}  // namespace outcrop::analyze
