#include "trainer_host/trainer/analyze/plan_change.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;

fs::path plan_beside(const fs::path& variant) {
  return variant.parent_path() / (variant.stem().string() + ".plan.toml");
}

Result<std::optional<quantize::Plan>> read_plan_beside(const fs::path& variant) {
  const fs::path file = plan_beside(variant);
  std::error_code error;
  if (!fs::exists(file, error)) return std::optional<quantize::Plan>();
  OUTCROP_TRY(plan, quantize::read_plan(file));
  OUTCROP_TRY(text, read_text_file(file));
  // A TOML table has no order; the file has.
  const auto place = [&](const quantize::LayerDecision& layer) { return text.find("[layers.\"" + layer.layer + "\"]"); };
  std::stable_sort(plan.layers.begin(), plan.layers.end(),
                   [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return std::optional<quantize::Plan>(std::move(plan));
}

quantize::Plan with_worst_float(quantize::Plan plan, const Analysis& analysis, double below_db) {
  for (const Layer& layer : analysis.layers) {
    const auto db = layer.output ? layer.output->sqnr_db() : std::nullopt;
    if (!db || *db >= below_db) continue;
    for (quantize::LayerDecision& decision : plan.layers) {
      if (decision.layer != layer.name || decision.format == "float") continue;
      decision.format = "float";
      decision.reason = "its output was " + fixed(*db, 1) + " dB in SQNR, below " + significant(below_db);
    }
  }
  return plan;
}

}  // namespace outcrop::analyze
