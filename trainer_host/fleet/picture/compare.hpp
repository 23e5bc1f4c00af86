#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "protocol/base/error.hpp"
#include "protocol/messages/picture.hpp"
#include "trainer_host/fleet/picture/hosts_own.hpp"

namespace outcrop::fleet {

// How far what a board drew is off the host's own, at the points that were drawn, in the output's unit.
struct Comparison {
  double largest = 0, mean = 0, rms = 0;
  double unseen = 0;  // what a picture's 256 levels of gray hide of that
  std::size_t points = 0;
  std::size_t of_another_class = 0;
  enum class Verdict {
    same,    // as near as a picture can tell
    within,  // what the release allows this variant
    beyond,  // it is not what was signed
    off,     // and nobody said what is allowed
  };
  Verdict verdict = Verdict::off;
  std::optional<double> allowed;  // at any point
};
[[nodiscard]] std::string_view to_string(Comparison::Verdict verdict);  // "within"

// invalid_data where the two are of other sizes.
[[nodiscard]] Result<Comparison> compare(const messages::Picture& picture, const HostsOwn& own);

// A sentence.
[[nodiscard]] std::string in_words(const Comparison& comparison, const HostsOwn& own, const std::string& variant);
// "1475", "29.9", "0.0412": three digits, and all before the point.
[[nodiscard]] std::string figure(double value);
// "1500 to 4500 m/s".
[[nodiscard]] std::string range_in_words(double min, double max, const std::string& unit);

}  // namespace outcrop::fleet
