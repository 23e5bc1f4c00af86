#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

// Pictures are PNG, drawn by gnuplot; errors are those of gnuplot.hpp.

// Loss over epochs from a training.csv (columns found by their headings: epoch, stage,
// velocity_loss, gather_loss, and held_out_ssim where it was measured): losses on a logarithmic
// axis, held-out SSIM on its own, stages set apart. invalid_data names file and line.
[[nodiscard]] Status draw_loss_curve(const std::filesystem::path& training_csv,
                                     const std::filesystem::path& png, const std::string& title);

// One row of a gallery: a subsurface, what the model made of it, and what the model made up.
struct GalleryRow {
  std::string label;            // "held-out 3, SSIM 0.81"
  std::vector<float> true_map;  // 70 × 70 values in m/s, row 0 at the surface
  std::vector<float> reconstructed_map;
  std::vector<float> generated_map;
  std::vector<float> true_gather;  // one shot: 1000 × 70 pressures
  std::vector<float> reconstructed_gather;
  std::vector<float> generated_gather;
  std::string reconstruction_note;  // "SSIM 0.81, 92 m/s"
};

struct Gallery {
  std::string title;             // model, stage, epoch, training time
  std::string caption;           // the scores
  std::vector<GalleryRow> rows;  // 1 to 6
};

// Rows of true, reconstructed and generated velocity map, then true, reconstructed and generated
// gather of the middle shot. One colour bar for all maps (1500–4500 m/s), one grey scale for all
// gathers (the 96th percentile of the true ones).
[[nodiscard]] Status draw_gallery(const Gallery& gallery, const std::filesystem::path& png);

}  // namespace outcrop::evaluate
