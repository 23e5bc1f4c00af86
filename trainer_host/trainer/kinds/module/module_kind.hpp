#pragma once

#include <memory>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::user_module {

[[nodiscard]] std::unique_ptr<const kinds::Kind> make_kind();

}  // namespace outcrop::user_module
