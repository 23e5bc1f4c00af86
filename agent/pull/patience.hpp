#pragma once

#include <algorithm>
#include <chrono>

namespace outcrop::agent {

// How long a silence must last before a lost request is assumed. A chunk on a slow link takes
// seconds: asking again sooner than chunks come would fill that link with chunks that come twice.
// So it is four times the longest wait of late, and twice as much after each silence (RFC 6298 in
// spirit).
class Patience {
 public:
  using Duration = std::chrono::steady_clock::duration;

  Patience(Duration least, Duration most) : least_(least), most_(most) {}

  void heard(Duration waited) {
    longest_wait_ = std::max(waited, longest_wait_ * 7 / 8);
    backed_off_ = 1;
  }
  void was_silent() {
    if (wait() < most_) backed_off_ *= 2;
  }
  [[nodiscard]] Duration wait() const {
    return std::min(most_, std::max(least_, 4 * longest_wait_) * backed_off_);
  }

 private:
  Duration least_;
  Duration most_;
  Duration longest_wait_{0};
  int backed_off_ = 1;
};

}  // namespace outcrop::agent
