#pragma once

#include <cstdint>

namespace outcrop::kinds {

// What a task is besides, where its samples are others in each epoch: it is told which one begins before its first batch
// is trained on, and where a killed run goes on. The same epoch has the same samples.
class ChangesWithEpochs {
 public:
  virtual ~ChangesWithEpochs() = default;
  virtual void begin_epoch(std::int64_t epoch) = 0;  // counted from 1
};

}  // namespace outcrop::kinds
