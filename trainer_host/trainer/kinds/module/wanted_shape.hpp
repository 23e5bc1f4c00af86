#pragma once

#include <filesystem>
#include <string>

#include "trainer_host/trainer/kinds/module/foreign_module.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"

namespace outcrop::user_module {

// For an error about rows that a module does not take: which shapes those in `folder` have, and what its first layer
// takes, as far as its weight says. "these rows are x [6, 4, 8, 8] (in rows); its first layer, 'conv1' (Conv2d), takes
// [rows, 3, height, width]".
[[nodiscard]] std::string shapes_in_words(const ForeignModule& foreign, const Rows& rows, const std::filesystem::path& folder);

}  // namespace outcrop::user_module
