#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/train/stage_end.hpp"

namespace outcrop::stage {

// What a trained stage ends with, each step written before the next begins, so that a kill
// anywhere is taken up by the next call for the same stage:
//
//   <out>/stage<N>/                      variants, encoder, goldens, weights, artifact.json:
//                                        made under another name, visible when whole
//   <out>/stage<N>/quantization.json     what is int8, what stays float and why
//   <out>/quantization_performance.csv   a row for each variant and stage, measured by the
//                                        confined runner
//   <out>/loss.png                       the curve so far
//   <out>/releases/<model>-stage<N>/     the signed release, where the configuration names keys
//
// A stage that is taken up again ends with the same release, never with a second one: variants
// are the same bytes, and the key store recognises what it has signed.
//
// Fails before any training where the keys cannot sign for the configured model, or the
// confined runner does not start: better now than after an hour.
[[nodiscard]] Result<train::StageEnd> make_stage_end(const train::TrainConfig& config);

}  // namespace outcrop::stage
