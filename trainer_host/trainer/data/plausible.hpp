#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::data {

// Whether a data set's values are of the scale that networks are normalized for. A shot gather of
// OpenFWI's families peaks at 5 to 53, where the direct wave passes; one that reaches less than 1
// or more than 100 has another unit or gain, and one of zeros was never recorded.
class ValueSurvey {
 public:
  explicit ValueSurvey(const Geometry& geometry) : shot_size_(geometry.shot_size()) {}

  // One sample of it, all finite.
  void add(std::span<const float> velocity, std::span<const float> gathers);

  // invalid_data, with the shares and what would be right, where more than half of all gathers
  // are off that scale.
  [[nodiscard]] Status check(const std::filesystem::path& folder) const;
  // What does not forbid training but ought to be known, a sentence each: gathers off the scale,
  // maps of a single value.
  [[nodiscard]] std::vector<std::string> warnings() const;

 private:
  [[nodiscard]] std::string off_scale() const;

  std::size_t shot_size_;
  std::size_t maps_ = 0;
  std::size_t flat_maps_ = 0;
  std::size_t silent_ = 0;
  std::size_t weak_ = 0;
  std::size_t loud_ = 0;
  std::vector<float> peaks_;  // of all gathers
};

}  // namespace outcrop::data
