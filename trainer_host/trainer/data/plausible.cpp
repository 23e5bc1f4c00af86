#include "trainer_host/trainer/data/plausible.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "protocol/base/join.hpp"

namespace outcrop::data {
namespace {

constexpr float least_peak = 1.0F;
constexpr float most_peak = 100.0F;
constexpr float usual_peak = 20.0F;

// "12 of 20 shot gathers (60 %)"; a share that rounds to nothing is still there.
std::string share_of(std::size_t part, std::size_t all, const std::string& what) {
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(all);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), percent < 1.0 ? "%.2g" : "%.0f", percent);
  return std::to_string(part) + " of " + std::to_string(all) + " " + what + " (" + text.data() +
         " %)";
}

std::string spelled(float number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", static_cast<double>(number));
  return text.data();
}

}  // namespace

void ValueSurvey::add(std::span<const float> velocity, std::span<const float> gathers) {
  ++maps_;
  const bool flat = std::all_of(velocity.begin(), velocity.end(),
                                [&](float value) { return value == velocity[0]; });
  if (flat) ++flat_maps_;
  for (std::size_t at = 0; at + shot_size_ <= gathers.size(); at += shot_size_) {
    float peak = 0.0F;
    for (const float value : gathers.subspan(at, shot_size_)) {
      peak = std::max(peak, std::abs(value));
    }
    peaks_.push_back(peak);
    if (peak == 0.0F) {
      ++silent_;
    } else if (peak < least_peak) {
      ++weak_;
    } else if (peak > most_peak) {
      ++loud_;
    }
  }
}

std::string ValueSurvey::off_scale() const {
  std::vector<std::string> parts;
  const auto [low, high] = std::minmax_element(peaks_.begin(), peaks_.end());
  if (silent_ > 0) {
    parts.push_back(share_of(silent_, peaks_.size(), "shot gathers") + " hold nothing but zeros");
  }
  if (weak_ > 0) {
    parts.push_back(share_of(weak_, peaks_.size(), "shot gathers") + " reach less than 1");
  }
  if (loud_ > 0) {
    parts.push_back(share_of(loud_, peaks_.size(), "shot gathers") + " reach more than 100");
  }
  return join(parts) + "; their peaks are " + spelled(*low) + " to " + spelled(*high) +
         ", usual are 5 to 53, the scale of OpenFWI";
}

Status ValueSurvey::check(const std::filesystem::path& folder) const {
  const std::size_t off = silent_ + weak_ + loud_;
  if (2 * off <= peaks_.size()) return {};
  std::string hint = " (recorded at all?)";
  std::vector<float> peaks = peaks_;
  const auto middle = peaks.begin() + static_cast<std::ptrdiff_t>(peaks.size() / 2);
  std::nth_element(peaks.begin(), middle, peaks.end());
  if (*middle > 0.0F) {
    // The nearest power of ten: a unit, or a gain.
    hint = " (multiply by " + spelled(std::pow(10.0F, std::round(std::log10(usual_peak / *middle)))) +
           "?)";
  }
  return fail(ErrorCode::invalid_data, folder.string() + ": " + off_scale() + hint);
}

std::vector<std::string> ValueSurvey::warnings() const {
  std::vector<std::string> found;
  if (silent_ + weak_ + loud_ > 0) found.push_back(off_scale());
  if (flat_maps_ > 0) {
    found.push_back(share_of(flat_maps_, maps_, "velocity maps") + " hold a single value");
  }
  return found;
}

}  // namespace outcrop::data
