#pragma once

#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop {

// The whole of outcrop-trainer, for these kinds of models: what a main function returns.
[[nodiscard]] int trainer_main(int argc, char** argv, const kinds::Register& kinds);

}  // namespace outcrop
