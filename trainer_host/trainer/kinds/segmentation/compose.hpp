#pragma once

#include "protocol/messages/signature.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"
#include "trainer_host/trainer/kinds/segmentation/network.hpp"

namespace outcrop::segmentation {

// What the network is given of maps in m/s between `bounds` and energies, [N, 1, rows, columns] each:
// [N, 2, …].
[[nodiscard]] torch::Tensor network_input(const torch::Tensor& velocity,
                                          const torch::Tensor& energy,
                                          const earth::VelocityBounds& bounds = {});

// What a board gets:
//   forward(velocity: Tensor [B,1,rows,columns] in m/s, energy: Tensor of the same shape)
//     -> probability [B, rows, columns, classes]
// Every variant answers alike: float32, contiguous; B = 0 gives no rows; a value that is not finite
// gives NaN in its row. Throws c10::Error.
[[nodiscard]] torch::jit::Module compose_segmentation(kinds::PartForm network,
                                                      const earth::VelocityBounds& bounds);

[[nodiscard]] messages::Signature segmentation_signature(const SegmentationShape& shape,
                                                         const earth::VelocityBounds& bounds);

}  // namespace outcrop::segmentation
