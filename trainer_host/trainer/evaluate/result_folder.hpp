#pragma once

#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/evaluate/evaluation_text.hpp"
#include "trainer_host/trainer/kinds/evaluation.hpp"

namespace outcrop::evaluate {

// The folder of a verb's results, made where it is missing. Says so at once where no picture can be drawn here.
[[nodiscard]] Status make_result_folder(const std::filesystem::path& out);

// The evaluation's picture in it, or nothing: never that of other figures. Figures need no picture: where none can be drawn
// they are had all the same, and why is said. Precondition: the evaluation has one.
[[nodiscard]] DrawnPicture draw_into(const std::filesystem::path& folder, const kinds::Evaluation& evaluation,
                                     const std::string& title);

}  // namespace outcrop::evaluate
