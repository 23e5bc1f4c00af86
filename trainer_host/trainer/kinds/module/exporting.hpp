#pragma once

#include <optional>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/module/foreign_module.hpp"
#include "trainer_host/trainer/kinds/module/objective.hpp"
#include "trainer_host/trainer/kinds/module/rows.hpp"

namespace outcrop::user_module {

// A module in evaluation mode that answers `rows` (answer_checked), at least one: its signature is what
// they show, and they are its golden calls. `calibration` rows, at least one, are what its ranges are taken of. Tolerances are shares of how far its answers
// spread.
[[nodiscard]] kinds::Export make_export(const ForeignModule& foreign, const Rows& rows, const Rows& calibration,
                                        const std::optional<Objective>& objective);

}  // namespace outcrop::user_module
