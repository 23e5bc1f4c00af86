#pragma once

#include <memory>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::text {

// "text": which of some classes a text is of.
[[nodiscard]] std::unique_ptr<const kinds::Kind> make_kind();

}  // namespace outcrop::text
