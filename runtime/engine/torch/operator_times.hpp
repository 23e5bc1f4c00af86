#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runtime/engine/engine.hpp"

namespace outcrop::runtime {

// Times what LibTorch's lite interpreter executes itself on this thread while the object lives. Every build of LibTorch
// tells it, the mobile one too, whose dispatcher tells nothing. One at a time on a thread.
class OperatorTimes {
 public:
  OperatorTimes();
  OperatorTimes(const OperatorTimes&) = delete;
  OperatorTimes& operator=(const OperatorTimes&) = delete;
  ~OperatorTimes();

  // In their order; the last one's time ends now.
  [[nodiscard]] std::vector<OperatorTime> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t handle_;
};

}  // namespace outcrop::runtime
