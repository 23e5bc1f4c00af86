#include "trainer_host/trainer/sweep/sweep_picture.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "protocol/base/cut_short.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::sweep {
namespace {

using evaluate::quoted;

constexpr std::size_t longest_label = 14;
constexpr std::size_t most_ticks = 8;
constexpr double label_height = 0.04;  // of an axis: labels that are nearer would cover each other
constexpr double much = 50;  // largest over least value, from which on an axis is logarithmic

// Places of values on an axis, from 0 at the bottom to 1, and what stands there.
struct Axis {
  std::string name;
  std::vector<double> places;                          // of each trial
  std::vector<std::pair<double, std::string>> ticks;
};

std::string short_number(double value) {
  std::ostringstream text;
  text.precision(3);
  text << value;
  return text.str();
}

Axis axis_of_numbers(const std::string& name, const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const bool logarithmic = *least > 0 && *most > much * *least;
  const auto scaled = [&](double value) { return logarithmic ? std::log(value) : value; };
  const double range = scaled(*most) - scaled(*least);
  const auto place = [&](double value) { return range > 0 ? (scaled(value) - scaled(*least)) / range : 0.5; };
  Axis axis{name + (logarithmic ? " (log)" : ""), {}, {}};
  for (const double value : values) axis.places.push_back(place(value));
  std::vector<double> known = values;
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  if (known.size() > most_ticks) {
    known = {*least};
    constexpr int parts = 4;
    for (int i = 1; i <= parts; ++i) {
      const double share = static_cast<double>(i) / parts;
      known.push_back(logarithmic ? *least * std::pow(*most / *least, share) : *least + share * (*most - *least));
    }
  }
  for (const double value : known) axis.ticks.emplace_back(place(value), short_number(value));
  return axis;
}

// Values that are no numbers stand in their order, evenly.
Axis axis_of_words(const std::string& name, const std::vector<std::string>& values) {
  std::vector<std::string> known = values;
  std::sort(known.begin(), known.end());
  known.erase(std::unique(known.begin(), known.end()), known.end());
  Axis axis{name, {}, {}};
  const auto place = [&](const std::string& value) {
    const auto at = std::lower_bound(known.begin(), known.end(), value) - known.begin();
    return known.size() > 1 ? static_cast<double>(at) / static_cast<double>(known.size() - 1) : 0.5;
  };
  for (const std::string& value : values) axis.places.push_back(place(value));
  for (const std::string& value : known) axis.ticks.emplace_back(place(value), cut_short(value, longest_label));
  return axis;
}

Axis axis_of(const std::string& name, const std::vector<std::string>& values) {
  std::vector<double> numbers;
  for (const std::string& value : values) {
    const auto number = read_number<double>(value);
    if (!number) return axis_of_words(name, values);
    numbers.push_back(*number);
  }
  return axis_of_numbers(name, numbers);
}

std::string script_of(const std::vector<Axis>& axes, const std::vector<double>& values, const std::string& title,
                      const std::string& goal, bool more) {
  const std::size_t lines = values.size();  // the best one last
  std::ostringstream out;
  out << "$lines << EOD\n";
  for (std::size_t line = 0; line < lines; ++line) {
    for (std::size_t at = 0; at < axes.size(); ++at) out << at << " " << axes[at].places[line] << " " << values[line] << "\n";
    out << "\n\n";
  }
  out << "EOD\nset title " << quoted(title) << " font 'DejaVu Sans,13'\nunset key\nunset border\nunset tics\n"
      << "set xrange [-0.25:" << static_cast<double>(axes.size()) - 0.55 << "]\nset yrange [-0.12:1.06]\n";
  for (std::size_t at = 0; at < axes.size(); ++at) {
    out << "set arrow from " << at << ",0 to " << at << ",1 nohead lc rgb '#606060' lw 1.4 front\n"
        << "set label " << quoted(cut_short(axes[at].name, 2 * longest_label)) << " at " << at << ",-0.075 center front\n";
    const bool last = at + 1 == axes.size();
    double below = -1;
    for (const auto& [place, text] : axes[at].ticks) {
      if (place - below < label_height) continue;
      below = place;
      out << "set label " << quoted(text) << " at " << at << "," << place
          << (last ? " left offset 0.9,0" : " right offset -0.7,0") << " front tc rgb '#303030'\n";
    }
  }
  // From light to dark, so that it can be told apart in grey; the better the darker.
  out << "set palette defined (0 " << (more ? "'#e8d9a8', 1 '#d08a4a', 2 '#8a2f6a', 3 '#2b1055'" : "'#2b1055', 1 '#8a2f6a', 2 '#d08a4a', 3 '#e8d9a8'")
      << ")\nset colorbox\nset cblabel " << quoted(goal) << "\nset cbtics\n"
      << "plot for [i=0:" << lines - 1 << "] $lines index i using 1:2:3 with lines lw 1.6 lc palette, \\\n"
      << "  $lines index " << lines - 1 << " using 1:2:3 with linespoints pt 7 ps 1.1 lw 4 lc palette\n";
  return out.str();
}

}  // namespace

Status draw_sweep(const Sweep& sweep, const std::vector<Trial>& trials, const std::string& goal, bool more,
                  const std::filesystem::path& png) {
  auto order = best_first(trials, more);
  std::erase_if(order, [](const Trial* trial) { return !trial->value; });
  if (order.empty()) return fail(ErrorCode::not_found, "no trial has a value to draw");
  std::reverse(order.begin(), order.end());
  std::vector<Axis> axes;
  for (std::size_t key = 0; key < sweep.keys.size(); ++key) {
    std::vector<std::string> values;
    for (const Trial* trial : order) values.push_back(trial->point[key]);
    axes.push_back(axis_of(sweep.keys[key].name, values));
  }
  std::vector<double> values;
  for (const Trial* trial : order) values.push_back(*trial->value);
  axes.push_back(axis_of_numbers(goal, values));
  const std::string title = std::to_string(order.size()) + " trials; the best, number " +
                            std::to_string(order.back()->number) + ", is thick";
  const int width = 260 + 190 * static_cast<int>(axes.size());
  return evaluate::draw(script_of(axes, values, title, goal, more), {.width = width, .height = 520}, png);
}

}  // namespace outcrop::sweep
