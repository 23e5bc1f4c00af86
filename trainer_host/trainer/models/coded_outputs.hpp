#pragma once

#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/models/phase_convolution.hpp"

namespace outcrop::models {

// How a quantized decoder's output stands for normalized values: (code - zero_point) * scale.
struct CodedOutput {
  double scale = 1.0;
  std::int64_t zero_point = 0;
  std::int64_t first_code = 0;  // of the 256: -128 where codes have a sign
};
struct CodedOutputs {
  CodedOutput velocity;
  CodedOutput seismic;
  Phases seismic_phases;  // the seismic decoder ends in a phase convolution
};

// compose_generator for decoders that answer quantized tensors. The way back to physical units is
// a table of 256 numbers for each output, computed here: the same codes are then the same bits on
// every machine, for a fraction of the instructions.
[[nodiscard]] torch::jit::Module compose_generator(torch::jit::Module velocity_decoder,
                                                   torch::jit::Module seismic_decoder,
                                                   const LatentPrior& prior,
                                                   const CodedOutputs& codes);

}  // namespace outcrop::models
