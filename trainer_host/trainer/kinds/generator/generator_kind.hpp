#pragma once

#include <memory>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::generator {

// Paired velocity maps and shot gathers from noise, after UB-Diff (arXiv 2501.00941).
[[nodiscard]] std::unique_ptr<const kinds::Kind> make_kind();

}  // namespace outcrop::generator
