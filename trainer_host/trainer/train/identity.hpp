#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::train {

// One thing that decides weights or scores, and that two runs have differently.
struct Difference {
  std::string key;  // "train.learning_rate"
  std::string there;
  std::string here;
};

// What decides the weights of a run and its scores, and nothing else: what the configuration says
// and what the samples are, one "key = value" a line. Where folders lie, what they are called and
// how many threads there are is not part of it.
[[nodiscard]] std::string identity_of(const TrainConfig& config, const kinds::DataSummary& data);

// Keys that both texts have, with other values: what one of them does not know was written by
// another version, and was not asked for. An average of weights, and the first stage for int8, are named
// only where there are such: without the key they are 0.
[[nodiscard]] std::vector<Difference> differences(const std::string& there,
                                                  const std::string& here);

// Whether a run that goes on may have another value: schedule, weights of the losses, batch,
// average and data may change from one epoch to the next, the network and its name may not.
[[nodiscard]] bool may_change(const std::string& key);

// "train.learning_rate: 0.002 there, 0.0005 here". Digests are cut short.
[[nodiscard]] std::string describe(const Difference& difference);

}  // namespace outcrop::train
