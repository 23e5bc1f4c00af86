#pragma once

#include <vector>

#include "platform/cli/verb.hpp"
#include "trainer_host/trainer/kinds/sample_picture.hpp"

namespace outcrop::evaluate {

// outcrop draw
void add_draw(CLI::App& app, cli::Action& chosen, std::vector<kinds::SamplePicture> pictures);

}  // namespace outcrop::evaluate
