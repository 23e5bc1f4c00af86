#pragma once

#include <memory>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::classifier {

// "classifier": which of some classes an image is of.
[[nodiscard]] std::unique_ptr<const kinds::Kind> make_kind();

}  // namespace outcrop::classifier
