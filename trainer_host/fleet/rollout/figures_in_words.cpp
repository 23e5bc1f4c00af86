#include "trainer_host/fleet/rollout/figures_in_words.hpp"

#include <algorithm>
#include <cstdio>

namespace outcrop::fleet {

std::string percent(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, "%+.1f %%", 100 * (ratio - 1));
  return text;
}

std::string rounded(double evidence) {
  char text[32];
  std::snprintf(text, sizeof text, evidence < 10 ? "%.1f" : "%.0f", std::min(evidence, 1e6));
  return text;
}

}  // namespace outcrop::fleet
