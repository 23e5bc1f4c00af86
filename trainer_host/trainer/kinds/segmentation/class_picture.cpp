#include "trainer_host/trainer/kinds/segmentation/class_picture.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "trainer_host/trainer/evaluate/gnuplot.hpp"

namespace outcrop::segmentation {
namespace {

// Pixels.
constexpr int panel_width = 190;
constexpr int gap = 14;
constexpr int left_edge = 60;
constexpr int top_edge = 100;
constexpr int foot = 70;
constexpr int panels = 4;

// Okabe and Ito's colours, which the colour-blind tell apart; after eight they come again.
constexpr std::array<const char*, 8> class_colours{"#0072b2", "#56b4e9", "#009e73", "#f0e442",
                                                   "#d55e00", "#cc79a7", "#e69f00", "#999999"};

// Cells are squares, unless the panel became less than half or more than twice as high as wide.
int panel_height(std::size_t rows, std::size_t columns) {
  const double ratio = static_cast<double>(rows) / static_cast<double>(columns);
  return static_cast<int>(std::lround(panel_width * std::clamp(ratio, 0.5, 2.0)));
}

std::string figure(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

std::array<std::string, panels> headings(const earth::VelocityBounds& bounds) {
  return {"velocity (" + figure(bounds.slowest) + "–" + figure(bounds.fastest) + " m/s)", "truth",
          "prediction", "error"};
}

std::string at(const std::string& text, int x, int y, evaluate::PixelSize size,
               const std::string& style) {
  std::ostringstream label;
  label << "set label " << evaluate::quoted(text) << " at screen "
        << static_cast<double>(x) / size.width << ", screen "
        << 1.0 - static_cast<double>(y) / size.height << " " << style << "\n";
  return label.str();
}

std::string matrix(const CellGrid& grid) {
  std::ostringstream text;
  text << "$m << EOD\n";
  for (std::size_t i = 0; i < grid.values.size(); ++i) {
    text << grid.values[i] << ((i + 1) % grid.columns == 0 ? '\n' : ' ');
  }
  text << "EOD\n";
  return text.str();
}

// 1 where they differ.
CellGrid errors_of(const ClassRow& row) {
  CellGrid errors = row.truth;
  for (std::size_t i = 0; i < errors.values.size(); ++i) {
    errors.values[i] = row.truth.values[i] == row.answer.values[i] ? 0.0F : 1.0F;
  }
  return errors;
}

std::string palette_of_classes(std::size_t classes) {
  std::ostringstream text;
  text << "set palette maxcolors " << classes << " defined (";
  for (std::size_t i = 0; i < classes; ++i) {
    text << (i == 0 ? "" : ", ") << i << " '" << class_colours[i % class_colours.size()] << "'";
  }
  text << ")\nset cbrange [-0.5:" << classes << "-0.5]\n";
  return text.str();
}

std::string palette_of_velocity(const earth::VelocityBounds& bounds) {
  return "set palette maxcolors 0 defined (0 '#440154', 1 '#3e4989', 2 '#26828e', 3 '#35b779', "
         "4 '#fde725')\nset cbrange [" +
         figure(bounds.slowest) + ":" + figure(bounds.fastest) + "]\n";
}
constexpr const char* palette_of_error =
    "set palette maxcolors 2 defined (0 '#f4f4f4', 1 '#101010')\nset cbrange [-0.5:1.5]\n";

std::string panel_of(const CellGrid& values, int column, int row, evaluate::PixelSize size) {
  const int height = panel_height(values.rows, values.columns);
  const double x = left_edge + column * (panel_width + gap);
  const double y = top_edge + row * (height + gap);
  std::ostringstream text;
  text << matrix(values) << "set lmargin at screen " << x / size.width << "\nset rmargin at screen "
       << (x + panel_width) / size.width << "\nset tmargin at screen " << 1 - y / size.height
       << "\nset bmargin at screen " << 1 - (y + height) / size.height << "\nset xrange [-0.5:"
       << values.columns << "-0.5]\nset yrange [" << values.rows
       << "-0.5:-0.5]\nplot $m matrix with image notitle\nunset label\n";
  return text.str();
}

std::string legend(const std::vector<std::string>& classes, int x, evaluate::PixelSize size) {
  std::string text;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    text += at("■ ", x, size.height - foot / 2, size,
               "left font ',14' tc rgb '" +
                   std::string(class_colours[i % class_colours.size()]) + "'");
    text += at(classes[i], x + 18, size.height - foot / 2, size, "left font ',10'");
    x += 40 + 8 * static_cast<int>(classes[i].size());
  }
  return text;
}

constexpr const char* style =
    "set multiplot\nset border lc rgb '#606060' lw 0.6\nunset tics\nunset colorbox\nunset key\n";

// The most probable class of each cell of sample `sample`.
CellGrid classes_of(const runtime::Tensor& probability, std::size_t sample) {
  const auto rows = static_cast<std::size_t>(probability.shape[1]);
  const auto columns = static_cast<std::size_t>(probability.shape[2]);
  const auto classes = static_cast<std::size_t>(probability.shape[3]);
  CellGrid grid{rows, columns, {}};
  const auto all = probability.floats().subspan(sample * rows * columns * classes);
  for (std::size_t cell = 0; cell < rows * columns; ++cell) {
    const auto of_cell = all.subspan(cell * classes, classes);
    grid.values.push_back(static_cast<float>(std::ranges::max_element(of_cell) - of_cell.begin()));
  }
  return grid;
}

Result<std::size_t> draw_told(const std::vector<runtime::Tensor>& tensors, std::size_t most,
                              const std::string& title, const std::filesystem::path& png) {
  const auto found = std::ranges::find(tensors, "probability", &runtime::Tensor::name);
  if (found == tensors.end() || found->dtype != runtime::DType::float32 ||
      found->shape.size() != 4 || found->elements() == 0) {
    return fail(ErrorCode::invalid_data,
                "no tensor 'probability', float32 [N, rows, columns, classes], in it; it has " +
                    (found == tensors.end() ? "none of that name" : runtime::describe(*found)));
  }
  constexpr std::size_t most_samples = 6;
  const std::size_t count =
      std::min({static_cast<std::size_t>(found->shape[0]), most, most_samples});
  const auto classes = static_cast<std::size_t>(found->shape[3]);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < classes; ++i) names.push_back("class " + std::to_string(i));
  const int across = std::max<int>(static_cast<int>(count) * (panel_width + gap),
                                   static_cast<int>(classes) * 96);
  const int height = panel_height(static_cast<std::size_t>(found->shape[1]),
                                  static_cast<std::size_t>(found->shape[2]));
  const evaluate::PixelSize size{.width = left_edge + across + gap,
                                 .height = top_edge + height + gap + foot};
  std::string script = style + at(title, left_edge, 26, size, "left font ',14'") +
                       legend(names, left_edge, size) + palette_of_classes(classes);
  for (std::size_t i = 0; i < count; ++i) {
    script += panel_of(classes_of(*found, i), static_cast<int>(i), 0, size);
  }
  OUTCROP_CHECK(evaluate::draw(script + "unset multiplot\n", size, png));
  return count;
}

}  // namespace

kinds::SamplePicture sample_picture() {
  return {"segmentation", {"probability"}, draw_told};
}

Status draw_classes(const std::vector<ClassRow>& rows, const std::vector<std::string>& classes,
                    const earth::VelocityBounds& bounds, const std::string& title,
                    const std::string& caption, const std::filesystem::path& png) {
  if (rows.empty()) return fail(ErrorCode::invalid_argument, "a picture shows at least one sample");
  const auto count = static_cast<int>(rows.size());
  const int height = panel_height(rows.front().velocity.rows, rows.front().velocity.columns);
  const evaluate::PixelSize size{
      .width = left_edge + panels * (panel_width + gap) + gap,
      .height = top_edge + count * (height + gap) + foot};
  std::string script =
      style + at(title, left_edge, 26, size, "left font ',14'") +
      at(caption, left_edge, 52, size, "left font ',10' tc rgb '#505050'") +
      legend(classes, left_edge + panel_width + gap, size);
  const auto heads = headings(bounds);
  for (int column = 0; column < panels; ++column) {
    script += at(heads[static_cast<std::size_t>(column)],
                 left_edge + column * (panel_width + gap) + panel_width / 2, top_edge - 14, size,
                 "center font ',10'");
  }
  for (int row = 0; row < count; ++row) {
    const ClassRow& shown = rows[static_cast<std::size_t>(row)];
    script += at(shown.label, 30, top_edge + row * (height + gap) + height / 2, size,
                 "center rotate by 90 font ',10'");
    script += palette_of_velocity(bounds) + panel_of(shown.velocity, 0, row, size);
    script += palette_of_classes(classes.size());
    script += panel_of(shown.truth, 1, row, size) + panel_of(shown.answer, 2, row, size);
    script += palette_of_error + panel_of(errors_of(shown), 3, row, size);
  }
  return evaluate::draw(script + "unset multiplot\n", size, png);
}

}  // namespace outcrop::segmentation
