#pragma once

#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

struct PixelSize {
  int width = 0;
  int height = 0;
};

// Runs gnuplot (no shell) on a script that draws one picture, with all data inline; terminal and
// output are set here. The picture appears at `png` whole or not at all. unsupported where
// gnuplot is not installed or draws no PNG; internal with gnuplot's own words where it refuses the
// script; timeout after a minute.
[[nodiscard]] Status draw(const std::string& script, PixelSize size,
                          const std::filesystem::path& png);

// Whether draw() can work here, asked before long work: gnuplot draws a picture into the void. The
// errors of draw().
[[nodiscard]] Status check_drawing();

// Text as a gnuplot string: quoted, and nothing in it is a command or markup.
[[nodiscard]] std::string quoted(const std::string& text);

}  // namespace outcrop::evaluate
