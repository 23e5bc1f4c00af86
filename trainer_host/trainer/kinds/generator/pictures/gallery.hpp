#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::generator {

// One row of a gallery: a map and its middle shot, each beside what the model made of it.
struct GalleryRow {
  std::string label;                 // "sample 3"
  std::vector<float> reference_map;  // rows of m/s, row 0 at the surface; empty: none
  std::vector<float> model_map;
  std::string map_note;              // in the corner of the model's map: "SSIM 0.81, 92 m/s"
  std::vector<float> solver_gather;  // pressures, step by step: the wave equation's
  std::vector<float> model_gather;
  std::string gather_note;
};

// Maps on the way from noise to one of them, as many as a row has columns.
struct FilmStrip {
  static constexpr std::size_t frames = 5;
  std::string label;                    // "seed 1"
  std::vector<std::vector<float>> maps;  // rows of m/s
};

struct Gallery {
  std::string title;    // model, stage, epoch, training time
  std::string caption;  // the scores
  // Samples of data: true and reconstructed map, true and reconstructed gather.
  std::vector<GalleryRow> reconstructed;
  // Made from noise, with rows of their own: the nearest training map and the generated one, then
  // the wave equation's gather of the generated map and the generated gather.
  std::vector<GalleryRow> generated;
  // Between the two, all of them at the same steps: "step 1 of 16", "step 4" over each column.
  std::vector<FilmStrip> strips{};
  std::vector<std::string> strip_headings{};
  data::Geometry geometry{};  // of all of them
};

// The two kinds of rows one below the other, 1 to 10 in all, with the difference of the gathers at
// the right. One colour bar for all maps (over the bounds of the geometry); gathers on the scale of panels.hpp. PNG;
// errors are those of evaluate/gnuplot.hpp.
[[nodiscard]] Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png);

}  // namespace outcrop::generator
