#include "platform/text/nearest.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace outcrop::platform {
namespace {

constexpr std::size_t most_slips = 2;  // three wrong letters are another word

// Levenshtein distance: insertions, deletions and substitutions of single characters.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> known) {
  std::optional<std::string> found;
  std::size_t least = most_slips + 1;
  for (const std::string& candidate : known) {
    const std::size_t slips = distance(word, candidate);
    if (slips >= least) continue;
    least = slips;
    found = candidate;
  }
  return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const auto meant = nearest(word, known);
  return meant ? "did you mean " + *meant + "? " : "";
}

}  // namespace outcrop::platform
