#pragma once

#include <optional>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/module/foreign_module.hpp"
#include "trainer_host/trainer/kinds/module/objective.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"

namespace outcrop::user_module {

// A module in evaluation mode that answers `rows` (answer_checked), at least one: its signature is what
// they show, they calibrate it and are its golden calls. Tolerances are shares of how far its answers
// spread.
[[nodiscard]] kinds::Export make_export(const ForeignModule& foreign, const Rows& rows,
                                        const std::optional<Objective>& objective);

}  // namespace outcrop::user_module
