#pragma once

#include <memory>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::segmentation {

// What each cell of a subsurface is: from a velocity map and the energy of its gathers to classes.
[[nodiscard]] std::unique_ptr<const kinds::Kind> make_kind();

}  // namespace outcrop::segmentation
