#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

// What the columns of training.csv are called in a picture, and which one is the score.
struct CurveText {
  std::map<std::string, std::string> labels{};  // by column; others are called by their names
  std::string score{};                          // "held_out_ssim"; empty: none
  std::string loss_unit = "loss";               // "loss (L1 + L2, normalized units)"

  [[nodiscard]] std::string label(const std::string& column) const;
};

// PNG by gnuplot, whose errors are those of gnuplot.hpp: loss over epochs from a training.csv, columns found by their headings: epoch, stage and a column
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

}  // namespace outcrop::evaluate
