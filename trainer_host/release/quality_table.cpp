#include "trainer_host/release/quality_table.hpp"

#include <array>
#include <cstdio>

#include "platform/console/table.hpp"

namespace outcrop::release {
namespace {

std::string shown(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

std::string of_ssim(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4f", value);
  return text.data();
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
    const std::string in = unit(quality, output);
    headings.insert(headings.end(),
                    {output + " SSIM", output + " MAE" + in, output + " RMSE" + in});
  }
  Table table(headings);
  const auto add = [&](const std::string& name, const messages::ScoredModel& scored) {
    std::vector<std::string> row{name};
    for (const auto& [output, ignored] : quality.model.outputs) {
      const auto score = scored.outputs.find(output);
      if (score == scored.outputs.end()) {
        row.insert(row.end(), {"–", "–", "–"});
      } else {
        const messages::OutputScore& of = score->second;
        row.insert(row.end(), {of_ssim(of.ssim), shown(of.mae), shown(of.rmse)});
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
