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
//   <out>/stage<N>/lineage.json          what the run began with, what was changed on the way; where
//                                        there is any
//   <out>/quantization_performance.csv   a row for each variant and stage, measured by the
//                                        confined runner, or without times where that cannot be
//   <out>/loss.png                       the curve so far, where gnuplot can draw it
//   <out>/releases/<model>-stage<N>/     the signed release, where the configuration names keys
//
// A stage whose model is not good enough (release/quality.hpp) or of which no variant passes has no
// release: it is said why, and training goes on. A variant that does not pass is left out, likewise.
//
// A stage that is taken up again ends with the same release, never with a second one: variants
// are the same bytes, and the key store recognises what it has signed.
//
// Looks at all of it before any training: better now than after an hour. Fails where the keys cannot
// sign for the configured model or have expired (what expires within 30 days is said), where the policy cannot be read, where a release is wanted and the
// confined runner that proves it does not start, or where quantization_performance.csv is somebody
// else's. Where only times or pictures cannot be had it says so and goes on without. As soon as a run's epochs
// say how long it takes, keys that expire before the stage at work ends are an error, those that do before the last
// one are said.
[[nodiscard]] Result<train::StageEnd> make_stage_end(const train::TrainConfig& config,
                                                     const train::StageEndOptions& options = {});

// Of a model that was not trained here: the folder alone, and the rows of the table. What is there
// already must be of the same weights.
[[nodiscard]] Status make_stage_folder(const train::StageContext& context,
                                       const train::StageEndOptions& options = {});

}  // namespace outcrop::stage
