#include "trainer_host/trainer/kinds/classes/confusion_picture.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::classes {
namespace {

using evaluate::quoted;

constexpr std::size_t most_with_numbers = 20;  // classes
constexpr double light_up_to = 50.0;           // per cent; white on darker cells

std::string number(double value, const char* format) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// "'shirt' 0, 'coat' 1".
std::string tics(const std::vector<std::string>& classes) {
  std::string text;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    text += (i > 0 ? ", " : "") + quoted(classes[i]) + " " + std::to_string(i);
  }
  return text;
}

double share_of_row(const ConfusionCounts& counts, std::size_t row, std::size_t column) {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts[row]) sum += count;
  if (sum == 0) return 0.0;
  return 100.0 * static_cast<double>(counts[row][column]) / static_cast<double>(sum);
}

std::string title_of(const ConfusionCounts& counts, const std::string& samples) {
  std::uint64_t all = 0;
  std::uint64_t right = 0;
  for (std::size_t row = 0; row < counts.size(); ++row) {
    for (const std::uint64_t count : counts[row]) all += count;
    right += counts[row][row];
  }
  const double share = all == 0 ? 0.0 : 100.0 * static_cast<double>(right) / static_cast<double>(all);
  return std::to_string(all) + " " + samples + ", " + number(share, "%.2f") +
         " % right; cells: per cent of a class's " + samples;
}

// Cells, "column row per-cent text", as a block of data that gnuplot reads by name.
std::string cells(const ConfusionCounts& counts, const char* name) {
  std::string text = std::string(name) + " << end_of_cells\n";
  for (std::size_t row = 0; row < counts.size(); ++row) {
    for (std::size_t column = 0; column < counts.size(); ++column) {
      const double share = share_of_row(counts, row, column);
      text += std::to_string(column) + " " + std::to_string(row) + " " + number(share, "%.4f") + " " +
              (share >= 0.05 ? number(share, "%.1f") : std::string("·")) + "\n";
    }
  }
  return text + "end_of_cells\n";
}

}  // namespace

Status draw_confusion(const ConfusionCounts& counts, const std::vector<std::string>& classes,
                      const std::string& samples, const std::filesystem::path& png) {
  const std::size_t count = classes.size();
  const bool square = std::all_of(counts.begin(), counts.end(),
                                  [&](const auto& row) { return row.size() == count; });
  if (count == 0 || counts.size() != count || !square) {
    return fail(ErrorCode::invalid_argument,
                "a confusion matrix has a row and a column for each of " + std::to_string(count) +
                    " classes");
  }
  const bool numbers = count <= most_with_numbers;
  const std::string edge = number(static_cast<double>(count) - 0.5, "%.1f");
  std::string script = cells(counts, "$cells");
  script += "set title " + quoted(title_of(counts, samples)) +
            "\nset xlabel 'taken for'\nset ylabel 'is'\nset xrange [-0.5:" + edge +
            "]\nset yrange [" + edge + ":-0.5]\nset cbrange [0:100]\nset cblabel '%'\n"
            "set palette defined (0 '#ffffff', 20 '#c6dbef', 50 '#6baed6', 100 '#08306b')\n"
            "set tics scale 0 out\nset size square\n";
  script += numbers ? "set xtics rotate by 45 right (" + tics(classes) + ")\nset ytics (" +
                          tics(classes) + ")\n"
                    : std::string("set xtics 10\nset ytics 10\n");
  script += "plot $cells using 1:2:3 with image notitle";
  if (numbers) {
    const std::string middle = number(light_up_to, "%.0f");
    script += ", $cells using 1:2:4:($3 > " + middle +
              " ? 0xffffff : 0x303030) with labels textcolor rgb variable font ',8' notitle";
  }
  const int side = numbers ? 220 + 48 * static_cast<int>(count) : 900;
  return evaluate::draw(script, {.width = side + 60, .height = side}, png);
}

}  // namespace outcrop::classes
