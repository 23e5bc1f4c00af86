#pragma once

#include "trainer_host/trainer/kinds/sample_picture.hpp"

namespace outcrop::generator {

// Velocity maps above the gathers of their middle shots, one to six samples side by side: of
// "velocity" [N, 1, 70, 70] in m/s and "seismic" [N, 5, 1000, 70].
[[nodiscard]] kinds::SamplePicture sample_picture();

}  // namespace outcrop::generator
