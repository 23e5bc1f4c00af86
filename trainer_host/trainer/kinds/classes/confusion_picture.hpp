#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/classes/confusion.hpp"

namespace outcrop::classes {

// Draws which classes are taken for which: a row for each class as it is, a column for each answer, in
// per cent of the row; numbers in the cells of up to twenty classes. The title says how many
// `samples` ("images") there are and how many are right. Errors as evaluate::draw().
[[nodiscard]] Status draw_confusion(const ConfusionCounts& counts,
                                    const std::vector<std::string>& classes, const std::string& samples,
                                    const std::filesystem::path& png);

}  // namespace outcrop::classes
