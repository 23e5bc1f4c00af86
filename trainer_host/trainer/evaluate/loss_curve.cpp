#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <optional>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/evaluate/charts.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::evaluate {
namespace {

// training.csv by columns; an empty cell is NaN.
struct History {
  std::map<std::string, std::vector<double>> columns;

  [[nodiscard]] const std::vector<double>& column(const std::string& name) const {
    return columns.at(name);
  }
  [[nodiscard]] bool has_values(const std::string& name) const {
    const auto found = columns.find(name);
    return found != columns.end() && std::any_of(found->second.begin(), found->second.end(),
                                                 [](double v) { return std::isfinite(v); });
  }
};

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  std::string cell;
  std::istringstream stream(line);
  while (std::getline(stream, cell, ',')) cells.push_back(cell);
  if (!line.empty() && line.back() == ',') cells.emplace_back();
  return cells;
}

Result<History> read_history(const std::filesystem::path& path) {
  OUTCROP_TRY(text, read_text_file(path));
  std::istringstream stream(text);
  std::string line;
  std::getline(stream, line);
  const auto headings = split(line);
  History history;
  for (const std::string& heading : headings) history.columns[heading];
  for (const char* needed : {"epoch", "stage", "velocity_loss", "gather_loss"}) {
    if (!history.columns.contains(needed)) {
      return fail(ErrorCode::invalid_data, path.string() + ", line 1: no column '" +
                                               std::string(needed) + "'; this is no training.csv");
    }
  }
  for (int number = 2; std::getline(stream, line); ++number) {
    const auto cells = split(line);
    if (cells.size() != headings.size()) {
      return fail(ErrorCode::invalid_data, path.string() + ", line " + std::to_string(number) +
                                               ": " + std::to_string(cells.size()) +
                                               " cells instead of " +
                                               std::to_string(headings.size()));
    }
    for (std::size_t i = 0; i < cells.size(); ++i) {
      char* end = nullptr;
      const double value = std::strtod(cells[i].c_str(), &end);
      if (*end != '\0') {
        return fail(ErrorCode::invalid_data, path.string() + ", line " + std::to_string(number) +
                                                 ": '" + cells[i] + "' is no number");
      }
      history.columns[headings[i]].push_back(cells[i].empty() ? std::nan("") : value);
    }
  }
  if (history.column("epoch").empty()) {
    return fail(ErrorCode::invalid_data, path.string() + ": no epoch was trained yet");
  }
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

// A thin line before the first epoch of each stage but the first.
std::string stage_marks(const History& history) {
  std::ostringstream out;
  const auto& stages = history.column("stage");
  for (std::size_t i = 1; i < stages.size(); ++i) {
    if (stages[i] == stages[i - 1]) continue;
    const double at = history.column("epoch")[i] - 0.5;
    out << "set arrow from " << at << ", graph 0 to " << at
        << ", graph 1 nohead lc rgb '#b0b0b0' dt 2 back\n"
        << "set label 'stage " << stages[i] << "' at " << at
        << ", graph 0.96 left offset 0.6,0 tc rgb '#808080' font ',9'\n";
  }
  return out.str();
}

// Room around the curves; gnuplot's own choice on a logarithmic axis is whole decades.
std::string loss_range(const History& history) {
  double low = std::numeric_limits<double>::max();
  double high = std::numeric_limits<double>::min();
  for (const char* name : {"velocity_loss", "gather_loss"}) {
    for (const double loss : history.column(name)) {
      if (!(loss > 0.0) || !std::isfinite(loss)) continue;
      low = std::min(low, loss);
      high = std::max(high, loss);
    }
  }
  if (low > high) return {};
  std::ostringstream out;
  out << "set yrange [" << low / 1.3 << ":" << high * 1.3 << "]\n";
  return out.str();
}

}  // namespace

Status draw_loss_curve(const std::filesystem::path& training_csv, const std::filesystem::path& png,
                       const std::string& title) {
  OUTCROP_TRY(history, read_history(training_csv));
  const bool scored = history.has_values("held_out_ssim");
  const auto& epochs = history.column("epoch");
  std::ostringstream script;
  script << data_block(history, "velocity", "velocity_loss")
         << data_block(history, "gathers", "gather_loss");
  if (scored) script << data_block(history, "ssim", "held_out_ssim");
  script << "set title " << quoted(title) << " font ',12' offset 0,0.3\n"
         << "set border 3 lc rgb '#404040'\n"
         << "set grid ytics lc rgb '#e4e4e4' lt 1\n"
         << "set tics nomirror out tc rgb '#404040'\n"
         << "set xlabel 'epoch' offset 0,0.3\n"
         << "set ylabel 'training loss (L1 + L2, normalized units)'\n"
         << "set logscale y\n"
         << "set format y '%g'\n"
         << "set ytics (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)\n"
         << loss_range(history) << "set xrange [" << epochs.front() - 0.5 << ":"
         << epochs.back() + 0.5 << "]\n"
         << "set key outside below center horizontal samplen 2.5 height 1\n"
         << stage_marks(history);
  if (scored) {
    script << "set y2label 'SSIM of held-out velocity maps' tc rgb '#009e73'\n"
           << "set border 11\nset y2tics 0.05 tc rgb '#009e73'\nset format y2 '%.2f'\n";
  }
  script << "plot $velocity using 1:2 with lines lw 2.2 lc rgb '#0072b2' title 'velocity maps', "
         << "$gathers using 1:2 with lines lw 2.2 lc rgb '#d55e00' title 'shot gathers'";
  if (scored) {
    script << ", $ssim using 1:2 axes x1y2 with linespoints lw 1.6 pt 7 ps 0.5 lc rgb '#009e73' "
              "title 'held-out SSIM (right axis)'";
  }
  return draw(script.str(), {.width = 820, .height = 480}, png);
}

}  // namespace outcrop::evaluate
