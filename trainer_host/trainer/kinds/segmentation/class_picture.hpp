#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"
#include "trainer_host/trainer/kinds/sample_picture.hpp"

namespace outcrop::segmentation {

// Values of cells, row by row, row 0 at the surface.
struct CellGrid {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<float> values;
};

// One sample: its map, what its cells are, and what a model takes them for.
struct ClassRow {
  std::string label;  // "sample 3"
  CellGrid velocity;  // m/s
  CellGrid truth;     // classes 0, 1, …
  CellGrid answer;    // likewise
};

// Rows of map (in the colours of `bounds`), truth, prediction and error (black where wrong), with one
// colour for each class, named at the foot; maps of one size. PNG; errors are those of evaluate/gnuplot.hpp.
[[nodiscard]] Status draw_classes(const std::vector<ClassRow>& rows,
                                  const std::vector<std::string>& classes,
                                  const earth::VelocityBounds& bounds, const std::string& title,
                                  const std::string& caption, const std::filesystem::path& png);

// The classes of up to six samples that a board told, side by side: of "probability" [N, rows, columns,
// classes].
[[nodiscard]] kinds::SamplePicture sample_picture();

}  // namespace outcrop::segmentation
