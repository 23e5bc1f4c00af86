#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/trainer/evaluate/loss_curve.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::evaluate {
namespace {

constexpr std::string_view loss_ending = "_loss";
constexpr std::string_view held_out_beginning = "held_out_";

bool is_loss(std::string_view column) {
  return column.ends_with(loss_ending);
}
bool is_held_out(std::string_view column) {
  return column.starts_with(held_out_beginning);
}

// training.csv by columns; an empty cell is NaN.
struct History {
  std::map<std::string, std::vector<double>> columns;
  std::vector<std::string> losses;  // of training, in the order of the table

  [[nodiscard]] const std::vector<double>& column(const std::string& name) const {
    return columns.at(name);
  }
  [[nodiscard]] bool has_values(const std::string& name) const {
    const auto found = columns.find(name);
    return found != columns.end() && std::any_of(found->second.begin(), found->second.end(),
                                                 [](double v) { return std::isfinite(v); });
  }
};

Result<double> value_of(const std::string& cell) {
  if (cell.empty()) return std::nan("");
  const auto value = read_number<double>(cell);
  if (value) return *value;
  return fail(ErrorCode::invalid_data, "'" + cell + "' is no number");
}

Result<History> history_in(const platform::CsvTable& table) {
  History history;
  for (const std::string& heading : table.headings) {
    history.columns[heading];
    if (is_loss(heading) && !is_held_out(heading)) history.losses.push_back(heading);
  }
  for (const char* needed : {"epoch", "stage"}) {
    if (!history.columns.contains(needed)) {
      return fail(ErrorCode::invalid_data, "line 1: no column '" + std::string(needed) +
                                               "'; this is no training.csv");
    }
  }
  if (history.losses.empty()) {
    return fail(ErrorCode::invalid_data,
                "line 1: no column that ends in '_loss'; this is no training.csv");
  }
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    for (std::size_t i = 0; i < table.headings.size(); ++i) {
      const auto value = value_of(table.rows[row][i]);
      if (!value) return fail(value.error().context("line " + std::to_string(row + 2)));
      history.columns[table.headings[i]].push_back(*value);
    }
  }
  if (table.rows.empty()) return fail(ErrorCode::invalid_data, "no epoch was trained yet");
  return history;
}

Result<History> read_history(const std::filesystem::path& path) {
  OUTCROP_TRY(text, read_text_file(path));
  auto history =
      platform::parse_csv(text).and_then([](const auto& table) { return history_in(table); });
  if (!history) return fail(history.error().context(path.string()));
  return history;
}

std::string data_block(const History& history, const std::string& name, const std::string& column) {
  std::ostringstream out;
  out << "$" << name << " << EOD\n";
  const auto& epochs = history.column("epoch");
  const auto& values = history.column(column);
  for (std::size_t i = 0; i < epochs.size(); ++i) {
    if (std::isfinite(values[i])) out << epochs[i] << " " << values[i] << "\n";
  }
  out << "EOD\n";
  return out.str();
}

constexpr PixelSize picture{.width = 820, .height = 600};
constexpr double left_edge = 0.11;  // of both panels, as shares of the picture
constexpr double right_edge = 0.9;
constexpr double losses_top = 0.86;
constexpr double losses_bottom = 0.37;
constexpr double rates_top = 0.31;
constexpr double rates_bottom = 0.1;
constexpr std::size_t most_dots = 80;  // epochs; more are a line

// The smallest of 1, 2, 5, 10, 20, … that makes at most `most` of `count`.
std::int64_t even_step(double count, double most) {
  std::int64_t power = 1;
  for (;; power *= 10) {
    for (const std::int64_t step : {power, 2 * power, 5 * power}) {
      if (count / static_cast<double>(step) <= most) return step;
    }
  }
}

// The greatest of … .1, .2, .5, 1 … that is at most `value`.
double round_part(double value) {
  if (!(value > 0.0)) return 1.0;
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double digit : {5.0, 2.0}) {
    if (digit * power <= value) return digit * power;
  }
  return power;
}

// A thin line before the first epoch of each stage but the first, and the stages' numbers, as many
// as have room.
std::string stage_marks(const History& history, bool with_numbers) {
  std::ostringstream out;
  const auto& stages = history.column("stage");
  const auto& epochs = history.column("epoch");
  const std::int64_t every = even_step(stages.back() - stages.front(), 10.0);
  const double last_with_room = epochs.front() + 0.92 * (epochs.back() - epochs.front());
  for (std::size_t i = 1; i < stages.size(); ++i) {
    if (stages[i] == stages[i - 1]) continue;
    const double at = epochs[i] - 0.5;
    out << "set arrow from " << at << ", graph 0 to " << at
        << ", graph 1 nohead lc rgb '#b0b0b0' dt 2 back\n";
    if (with_numbers && at < last_with_room && static_cast<std::int64_t>(stages[i]) % every == 0) {
      out << "set label 'stage " << stages[i] << "' at " << at
          << ", graph 0.96 left offset 0.6,0 tc rgb '#808080' font ',9'\n";
    }
  }
  return out.str();
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(const History& history, const std::string& name) {
    if (!history.has_values(name)) return;
    for (const double value : history.column(name)) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  [[nodiscard]] bool empty() const { return low > high; }
};

// A logarithmic axis with room around the curves, and at least two ticks of 1, 2, 5.
std::string loss_axis(const History& history) {
  Range range;
  for (const auto& [name, values] : history.columns) {
    if (is_loss(name)) range.add(history, name);
  }
  if (range.empty() || !(range.low > 0.0)) return {};
  const double room = std::max(1.3, std::sqrt(5.0 * range.low / range.high));
  std::ostringstream out;
  out << "set logscale y\nset format y '%g'\nset yrange [" << range.low / room << ":"
      << range.high * room << "]\nset ytics (";
  const char* separator = "";
  for (int power = -9; power <= 6; ++power) {
    for (const int digit : {1, 2, 5}) {
      out << separator << digit << "e" << power;
      separator = ", ";
    }
  }
  out << ")\n";
  return out.str();
}

// The held-out score to the right: whole steps of .05 around the curve, of .1 or, for what is no
// share, of 1, 2, 5, …
std::string score_axis(const History& history, const CurveText& text) {
  Range range;
  range.add(history, text.score);
  double step = range.high - range.low > 0.5 ? 0.1 : 0.05;
  if (range.high - range.low > 1.5) {
    step = static_cast<double>(even_step(range.high - range.low, 8.0));
  }
  std::ostringstream out;
  out << "set y2label " << quoted(text.label(text.score)) << " tc rgb '#009e73'\nset border 11\n"
      << "set y2range [" << (std::ceil(range.low / step) - 1) * step << ":"
      << (std::floor(range.high / step) + 1) * step << "]\nset y2tics " << step
      << " tc rgb '#009e73'\nset format y2 '" << (step < 1.0 ? "%.2f" : "%.0f") << "'\n";
  return out.str();
}

std::string margins(double top, double bottom) {
  std::ostringstream out;
  out << "set lmargin at screen " << left_edge << "\nset rmargin at screen " << right_edge
      << "\nset tmargin at screen " << top << "\nset bmargin at screen " << bottom << "\n";
  return out.str();
}

// Curves by name, each with its own colour; those of held-out samples are dashed.
class Curves {
 public:
  Curves(const History& history, std::string score)
      : history_(history), score_(std::move(score)) {
    const std::size_t epochs = history.column("epoch").size();
    style_ = epochs > most_dots
                 ? "with lines"
                 : "with linespoints pt 7 ps " + std::string(epochs > 1 ? "0.4" : "1");
  }

  void add(const std::string& column, const std::string& color, const std::string& title,
           const std::string& how = "lw 2") {
    if (!history_.has_values(column)) return;
    data_ += data_block(history_, column, column);
    plot_ += (plot_.empty() ? "plot $" : ", $") + column + " using 1:2 " +
             (column == score_ ? "axes x1y2 " : "") + style_ + " " + how + " lc rgb '" +
             color + "' title " + quoted(title);
  }
  [[nodiscard]] std::string script(const std::string& settings) const {
    return data_ + settings + plot_ + "\n";
  }

 private:
  const History& history_;
  std::string score_;
  std::string style_;
  std::string data_;
  std::string plot_;
};

std::string losses(const History& history, const std::string& title, const CurveText& text,
                   bool last_panel) {
  constexpr std::array colours{"#0072b2", "#d55e00", "#cc79a7", "#56b4e9", "#e69f00"};
  Curves curves(history, text.score);
  bool held_out = history.has_values(text.score);
  for (std::size_t i = 0; i < history.losses.size(); ++i) {
    const std::string& loss = history.losses[i];
    const std::string other = std::string(held_out_beginning) + loss;
    curves.add(loss, colours[i % colours.size()], text.label(loss));
    curves.add(other, colours[i % colours.size()], text.label(other), "lw 1.6 dt 2");
    held_out = held_out || history.has_values(other);
  }
  curves.add(text.score, "#009e73", "", "lw 1.4");  // its axis names it
  std::string settings =
      margins(losses_top, last_panel ? rates_bottom : losses_bottom) + "set label " +
      quoted(title) + " at screen 0.5, screen 0.96 center font ',12'\n" +
      "set ylabel " + quoted(text.loss_unit) + "\n" + loss_axis(history) +
      "set key at screen 0.5, screen 0.905 center center maxrows 1 samplen 2 font ',9'\n" +
      stage_marks(history, true);
  if (history.has_values(text.score)) settings += score_axis(history, text);
  if (!held_out) {
    settings +=
        "set label 'nothing was held out: how the model does on new data is not known' at graph "
        "0.99, graph 0.04 right tc rgb '#808080' font ',9'\n";
  }
  settings += last_panel ? "set xlabel 'epoch'\n" : "set format x ''\n";
  return curves.script(settings);
}

std::string rates(const History& history) {
  Curves curves(history, "");
  curves.add("learning_rate", "#555555", "");
  Range range;
  range.add(history, "learning_rate");
  std::ostringstream settings;
  settings << "unset label\nunset arrow\nunset logscale\nunset y2tics\nunset y2label\nunset key\n"
           << "set border 3\nset format x '%g'\nset xlabel 'epoch'\nset ylabel 'learning rate'\n"
           << "set yrange [0:" << range.high * 1.15 << "]\nset format y '%g'\nset ytics "
           << round_part(range.high) << "\n"
           << margins(rates_top, rates_bottom) << stage_marks(history, false);
  return curves.script(settings.str());
}

}  // namespace

std::string CurveText::label(const std::string& column) const {
  const auto found = labels.find(column);
  return found == labels.end() ? column : found->second;
}

Result<std::string> loss_curve_script(const std::filesystem::path& training_csv,
                                      const std::string& title, const CurveText& text) {
  OUTCROP_TRY(history, read_history(training_csv));
  const auto& epochs = history.column("epoch");
  const bool with_rates = history.has_values("learning_rate");
  std::ostringstream script;
  script << "set multiplot\nset border 3 lc rgb '#404040'\nset grid ytics lc rgb '#e4e4e4' lt 1\n"
         << "set tics nomirror out tc rgb '#404040'\nset xrange [" << epochs.front() - 0.5 << ":"
         << epochs.back() + 0.5 << "]\nset xtics "
         << even_step(epochs.back() - epochs.front(), 12.0) << "\n"
         << losses(history, title, text, !with_rates);
  if (with_rates) script << rates(history);
  script << "unset multiplot\n";
  return script.str();
}

Status draw_loss_curve(const std::filesystem::path& training_csv, const std::filesystem::path& png,
                       const std::string& title, const CurveText& text) {
  OUTCROP_TRY(script, loss_curve_script(training_csv, title, text));
  return draw(script, picture, png);
}

}  // namespace outcrop::evaluate
