#pragma once

#include <algorithm>
#include <chrono>

namespace outcrop::fleet {

// How much somebody may say: `most` at once, and so many a second in the long run (a token bucket).
class Allowance {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Allowance(double most, double each_second) : most_(most), each_second_(each_second), left_(most) {}

  // Whether this much is allowed now; then it is used up.
  [[nodiscard]] bool take(Time now) {
    if (since_ != Time() && now > since_) {
      const double seconds = std::chrono::duration<double>(now - since_).count();
      left_ = std::min(most_, left_ + each_second_ * seconds);
    }
    since_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  double most_;
  double each_second_;
  double left_;
  Time since_;
};

}  // namespace outcrop::fleet
