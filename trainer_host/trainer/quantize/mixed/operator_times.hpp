#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace outcrop::quantize {

// An operator that the interpreter called itself, and when.
struct TimedCall {
  std::string name;  // "quantized::conv2d_relu"
  std::chrono::steady_clock::time_point start;
  std::chrono::steady_clock::time_point end;
};

// Times what LibTorch executes on this thread while the object lives. One at a time on a thread, none beside an
// OperatorTrace or OperatorCounter.
class OperatorTimes {
 public:
  OperatorTimes();
  OperatorTimes(const OperatorTimes&) = delete;
  OperatorTimes& operator=(const OperatorTimes&) = delete;
  ~OperatorTimes();

  [[nodiscard]] std::vector<TimedCall> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t handle_;
};

}  // namespace outcrop::quantize
