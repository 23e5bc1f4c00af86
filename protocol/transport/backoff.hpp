#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace outcrop::transport {

// How long to wait before the next attempt: drawn by chance from a range whose end doubles with each
// one that failed. It begins near nothing every time, so that a fleet that lost its broker all at once comes back
// spread over the whole of it, and ever thinner while the broker stays away.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration last) : first_(first), last_(last) { begin_anew(); }

  template <class Random>
  [[nodiscard]] Duration next(Random& random) {
    std::uniform_int_distribution<Duration::rep> draw(shortest_.count(), longest_.count());
    const Duration drawn(draw(random));
    longest_ = std::min(longest_ * 2, last_);
    return drawn;
  }
  void begin_anew() {
    shortest_ = first_ / 4;
    longest_ = first_;
  }
  // Whoever comes back soon only throws another out.
  void stay_away() {
    shortest_ = last_ / 2;
    longest_ = last_;
  }

 private:
  Duration first_;
  Duration last_;
  Duration shortest_;  // that the next is drawn from
  Duration longest_;
};

}  // namespace outcrop::transport
