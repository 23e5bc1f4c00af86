#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Whether the time may be signed. A date far ahead, signed once, locks every board without a clock
// of its own out for as long: so a clock that nobody keeps right is believed only as far as it goes
// on steadily from what was signed before.
class ClockGuard {
 public:
  using Elapsed = std::function<std::chrono::seconds()>;  // never set, runs on while suspended

  // `synchronised`: whether somebody keeps this machine's clock right. `believed`: the owner says
  // so.
  ClockGuard(std::function<bool()> synchronised, bool believed, Elapsed elapsed = since_boot);

  // `issued`: of the newest timestamp, where there is one. Errors: refused, with what to do.
  [[nodiscard]] Status check(Timestamp now, const std::optional<Timestamp>& issued);

  // The machine's own.
  [[nodiscard]] static std::chrono::seconds since_boot();

 private:
  struct Look {
    Timestamp now;
    std::chrono::seconds elapsed;
  };
  std::function<bool()> synchronised_;
  bool believed_;
  Elapsed elapsed_;
  std::optional<Look> good_;  // the last time that was believed
};

// What to do about a timestamp that was signed in the future once; none where that is not so.
[[nodiscard]] std::optional<std::string> future_words(Timestamp now,
                                                      const std::optional<Timestamp>& issued);

}  // namespace outcrop::fleet
