#include "trainer_host/release/quality_table.hpp"

#include <array>
#include <cstdio>
#include <vector>

#include "platform/console/table.hpp"

namespace outcrop::release {
namespace {

std::string shown(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

std::string share(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4f", value);
  return text.data();
}

// Likeness and shares first, then errors.
std::vector<std::string> in_order(const messages::OutputScore& score) {
  std::vector<std::string> metrics;
  for (const bool with_unit : {false, true}) {
    for (const auto& [metric, value] : score.metrics) {
      if (messages::has_unit(metric) == with_unit) metrics.push_back(metric);
    }
  }
  return metrics;
}

std::string unit(const messages::Quality& quality, const std::string& output) {
  const auto found = quality.units.find(output);
  return found == quality.units.end() ? "" : ", " + found->second;
}

}  // namespace

std::string quality_table(const messages::Quality& quality, std::size_t width) {
  std::vector<std::string> headings{std::to_string(quality.samples) +
                                    (quality.held_out ? " held-out samples"
                                                      : " training samples (none held out)")};
  for (const auto& [output, score] : quality.model.outputs) {
    for (const std::string& metric : in_order(score)) {
      headings.push_back(output + " " + messages::shown_metric(metric) +
                         (messages::has_unit(metric) ? unit(quality, output) : ""));
    }
  }
  Table table(headings);
  const auto add = [&](const std::string& name, const messages::ScoredModel& scored) {
    std::vector<std::string> row{name};
    for (const auto& [output, of_model] : quality.model.outputs) {
      const auto score = scored.outputs.find(output);
      for (const std::string& metric : in_order(of_model)) {
        const double* value = score == scored.outputs.end() ? nullptr : score->second.find(metric);
        if (value == nullptr) {
          row.emplace_back("–");
        } else {
          row.push_back(messages::has_unit(metric) ? shown(*value) : share(*value));
        }
      }
    }
    table.add_row(std::move(row));
  };
  add("the model (" + quality.model.name + ")", quality.model);
  for (const messages::ScoredModel& baseline : quality.baselines) add(baseline.name, baseline);
  std::string text = table.to_string(width);
  for (const auto& [output, spread] : quality.spread) {
    text += "drawn " + output + ": " + std::to_string(quality.drawn) + " samples lie " +
            shown(spread.drawn) + " (RMS" + unit(quality, output) +
            ") from that mean, training data " + shown(spread.data) + "\n";
  }
  return text;
}

}  // namespace outcrop::release
