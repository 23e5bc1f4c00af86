#pragma once

#include <torch/torch.h>

#include <set>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::train {

// An exponential moving average of weights: after each step
//
//   a = b_t a + (1 - b_t) w,   b_t = min(b, (1 + t) / (10 + t)),
//
// where t steps were averaged before it. Formula and warm-up are those of TensorFlow's
// tf.train.ExponentialMovingAverage (num_updates); that averaged weights do better than the last ones goes
// back to Polyak and Juditsky (1992). Of floats: what lies nearer to the average than 6e-8 / (1 - b) of
// itself no longer moves it.
//
// Averaged is every float tensor that it is given, BatchNorm's statistics too, so that they fit. Integers,
// and constants that are not finite (a mask of -infinity), have no average and stay as they are. It takes
// as much memory as the weights, and as much more of each checkpoint. An update allocates no tensor.
class Average {
 public:
  // `weights` are shared. A decay of 0 is no average: it holds nothing and does nothing.
  Average(const models::NamedTensors& weights, double decay);

  [[nodiscard]] bool on() const { return decay_ > 0.0; }
  // Begins anew, with the weights as they are.
  void begin();
  // Where other tensors are trained from now on: all but those become their averages, for good, since what follows
  // is to learn of what stages leave. Averages of `trained` begin anew.
  void settle(const std::set<std::string>& trained);
  // After a step.
  void update();

  // "average.<tensor>" for each tensor that has one, and "average.steps", the t above.
  [[nodiscard]] models::NamedTensors state() const;
  // Goes on where `tensors` hold an average, else begins with the weights as they are. invalid_data names
  // a tensor that is missing or has another shape.
  [[nodiscard]] Status take_up(const models::NamedTensors& tensors);

 private:
  friend class AveragedWeights;
  struct Averaged {
    std::string name;
    torch::Tensor weight;  // the tensor that is trained, without its gradient
    torch::Tensor mean;
    torch::Tensor spare;  // to swap the two, where memory of theirs is not laid out alike
  };
  static void swap(Averaged& averaged) noexcept;

  double decay_;
  std::vector<Averaged> averaged_;
  torch::Tensor steps_;  // int64 []
};

// While it lives the weights are the averaged ones; then they are again, to the bit, those that are
// trained, whichever way its scope is left. No update() meanwhile, and one at a time.
class AveragedWeights {
 public:
  explicit AveragedWeights(Average& average);
  AveragedWeights(const AveragedWeights&) = delete;
  AveragedWeights& operator=(const AveragedWeights&) = delete;
  ~AveragedWeights();

 private:
  Average& average_;
};

}  // namespace outcrop::train
