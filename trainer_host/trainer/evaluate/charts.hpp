#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

// Pictures are PNG, drawn by gnuplot; errors are those of gnuplot.hpp.

// What the columns of training.csv are called in a picture, and which one is the score.
struct CurveText {
  std::map<std::string, std::string> labels{};  // by column; others are called by their names
  std::string score{};                          // "held_out_ssim"; empty: none
  std::string loss_unit = "loss";               // "loss (L1 + L2, normalized units)"

  [[nodiscard]] std::string label(const std::string& column) const;
};

// Loss over epochs from a training.csv, columns found by their headings: epoch, stage and a column
// that ends in "_loss" must be there. Every loss is drawn with "held_out_" and its name beside it
// where that is there, on a logarithmic axis; the score has its own, learning_rate stands below,
// stages are set apart; where nothing was held out the picture says so. invalid_data names file and
// line.
[[nodiscard]] Status draw_loss_curve(const std::filesystem::path& training_csv,
                                     const std::filesystem::path& png, const std::string& title,
                                     const CurveText& text);
// What gnuplot is told for it.
[[nodiscard]] Result<std::string> loss_curve_script(const std::filesystem::path& training_csv,
                                                    const std::string& title,
                                                    const CurveText& text);

// One row of a gallery: a map and its middle shot, each beside what the model made of it.
struct GalleryRow {
  std::string label;                 // "sample 3"
  std::vector<float> reference_map;  // 70 × 70 values in m/s, row 0 at the surface; empty: none
  std::vector<float> model_map;
  std::string map_note;              // in the corner of the model's map: "SSIM 0.81, 92 m/s"
  std::vector<float> solver_gather;  // 1000 × 70 pressures: the wave equation's
  std::vector<float> model_gather;
  std::string gather_note;
};

struct Gallery {
  std::string title;    // model, stage, epoch, training time
  std::string caption;  // the scores
  // Samples of data: true and reconstructed map, true and reconstructed gather.
  std::vector<GalleryRow> reconstructed;
  // Made from noise, with rows of their own: the nearest training map and the generated one, then
  // the wave equation's gather of the generated map and the generated gather.
  std::vector<GalleryRow> generated;
};

// The two kinds of rows one below the other, 1 to 10 in all, with the difference of the gathers at
// the right. One colour bar for all maps (1500–4500 m/s); gathers on the scale of panels.hpp.
[[nodiscard]] Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png);

}  // namespace outcrop::evaluate
