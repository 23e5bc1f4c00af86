#include "trainer_host/trainer/sweep/trials.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::sweep {
namespace {

constexpr std::size_t most_shown = 20;

// No cell holds a comma.
std::string cell(std::string text) {
  std::replace(text.begin(), text.end(), ',', ' ');
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

std::string folder_of(const Trial& trial) {
  const std::string number = std::to_string(trial.number);
  return "trial-" + std::string(number.size() < 3 ? 3 - number.size() : 0, '0') + number;
}

bool more_is_better(const std::string& goal) {
  constexpr std::array<std::string_view, 5> of_less{"loss", "mae", "rmse", "error", "misfit"};
  return std::none_of(of_less.begin(), of_less.end(),
                      [&](std::string_view word) { return goal.find(word) != std::string::npos; });
}

Status take_progress(const std::filesystem::path& training, const std::string& goal, std::int64_t stage_epochs, Trial& trial) {
  const auto text = read_text_file(training / "training.csv");
  if (!text) return {};
  const auto table = platform::parse_csv(*text);
  if (!table) return fail(table.error().context((training / "training.csv").string()));
  const auto stage = table->column("stage");
  const auto value = table->column(goal);
  const auto seconds = table->column("seconds");
  if (!stage || !value || !seconds) {
    return fail(ErrorCode::not_found, (training / "training.csv").string() + " has no column '" + goal + "'; it has " +
                                          join(table->headings));
  }
  trial.stage = static_cast<std::int64_t>(table->rows.size()) / stage_epochs;
  trial.seconds = 0;
  const std::size_t whole = static_cast<std::size_t>(trial.stage * stage_epochs);
  for (std::size_t row = 0; row < whole; ++row) trial.seconds += read_number<double>(table->rows[row][*seconds]).value_or(0.0);
  trial.value = whole == 0 ? std::nullopt : read_number<double>(table->rows[whole - 1][*value]);
  return {};
}

std::vector<const Trial*> best_first(const std::vector<Trial>& trials, bool more) {
  std::vector<const Trial*> order;
  for (const Trial& trial : trials) order.push_back(&trial);
  std::stable_sort(order.begin(), order.end(), [more](const Trial* a, const Trial* b) {
    if (a->value.has_value() != b->value.has_value()) return a->value.has_value();
    if (!a->value) return false;
    if (a->stage != b->stage) return a->stage > b->stage;
    return more ? *a->value > *b->value : *a->value < *b->value;
  });
  return order;
}

std::vector<std::size_t> that_go_on(const std::vector<Trial>& trials, std::int64_t stage, double keep, bool more) {
  std::vector<std::size_t> there;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    if (trials[i].stage >= stage && trials[i].value && trials[i].failed.empty()) there.push_back(i);
  }
  std::stable_sort(there.begin(), there.end(), [&](std::size_t a, std::size_t b) {
    return more ? *trials[a].value > *trials[b].value : *trials[a].value < *trials[b].value;
  });
  const auto kept = static_cast<std::size_t>(std::ceil(keep * static_cast<double>(there.size()) - 1e-9));
  there.resize(std::min(there.size(), std::max<std::size_t>(1, kept)));
  std::sort(there.begin(), there.end());
  return there;
}

std::string trials_csv(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more) {
  std::vector<std::string> headings{"trial"};
  for (const Key& key : sweep.keys) headings.push_back(key.name);
  headings.insert(headings.end(), {"stage", goal, "seconds", "failed"});
  std::string text = join(headings, ",") + "\n";
  for (const Trial* trial : best_first(trials, more)) {
    std::vector<std::string> cells{std::to_string(trial->number)};
    for (const std::string& value : trial->point) cells.push_back(cell(value));
    cells.insert(cells.end(), {std::to_string(trial->stage), trial->value ? write_number(*trial->value, 6) : "",
                               write_number(trial->seconds, 6), cell(trial->failed)});
    text += join(cells, ",") + "\n";
  }
  return text;
}

std::string trials_table(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more) {
  std::vector<std::string> headings{"trial"};
  for (const Key& key : sweep.keys) headings.push_back(key.name);
  headings.insert(headings.end(), {"stage", goal, "trained"});
  Table table(headings);
  std::size_t shown = 0;
  for (const Trial* trial : best_first(trials, more)) {
    if (shown++ == most_shown) break;
    std::vector<std::string> cells{std::to_string(trial->number)};
    cells.insert(cells.end(), trial->point.begin(), trial->point.end());
    cells.insert(cells.end(), {std::to_string(trial->stage), trial->value ? write_number(*trial->value, 6) : "–",
                               trial->failed.empty() ? human_duration(std::chrono::duration<double>(trial->seconds))
                                                     : trial->failed});
    table.add_row(cells);
  }
  std::string text = table.to_string();
  if (trials.size() > most_shown) text += "and " + std::to_string(trials.size() - most_shown) + " more in sweep.csv\n";
  return text;
}

std::string drop_in_of(const Sweep& sweep, const Trial& trial, const std::string& goal) {
  std::string text = "# The best of " + sweep.file.filename().string() + ": trial " + std::to_string(trial.number) + ", " + goal +
                     " = " + (trial.value ? write_number(*trial.value, 6) : "?") + " behind stage " + std::to_string(trial.stage) +
                     ".\n# As " + sweep.config.filename().string() + ".d/best.toml it goes before what " +
                     sweep.config.filename().string() + " says.\n";
  std::vector<std::string> lines;
  for (const std::string& setting : sweep.settings) {
    const bool swept = std::any_of(sweep.keys.begin(), sweep.keys.end(), [&](const Key& key) {
      return setting.substr(0, setting.find_first_of(" =")) == key.name;
    });
    if (!swept) lines.push_back(setting);
  }
  for (std::size_t i = 0; i < sweep.keys.size(); ++i) lines.push_back(sweep.keys[i].name + " = " + trial.point[i]);
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace outcrop::sweep
