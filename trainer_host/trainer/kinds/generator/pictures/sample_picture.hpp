#pragma once

#include "trainer_host/trainer/kinds/sample_picture.hpp"

namespace outcrop::generator {

// Velocity maps above the gathers of their middle shots, one to six samples side by side: of
// "velocity" [N, 1, depth, width] in m/s and "seismic" [N, shots, times, width]. Sizes of OpenFWI are
// drawn in kilometres and seconds; what other ones stand for does not lie in tensors, so that they are
// drawn in cells and steps.
[[nodiscard]] kinds::SamplePicture sample_picture();

}  // namespace outcrop::generator
