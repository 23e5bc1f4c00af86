#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::data {

// Data sets one behind the other, as a configuration or a command line names their folders. Cheap
// to copy; may be read from any thread.
class DatasetList {
 public:
  // Dataset::open's errors, and invalid_argument where two folders hold the same samples, or samples of
  // different geometries. None named
  // is no error.
  [[nodiscard]] static Result<DatasetList> open(const std::vector<std::filesystem::path>& folders);

  [[nodiscard]] std::size_t size() const { return size_; }  // samples in all
  // Of all of them; OpenFWI's of none.
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  // `i` < size().
  [[nodiscard]] std::span<const float> velocity(std::size_t i) const;
  [[nodiscard]] std::span<const float> gathers(std::size_t i) const;

  // A single folder's own; of several, SHA-256 in hex of their digests in their order; "" of none.
  [[nodiscard]] std::string digest() const;

  struct Part {
    std::filesystem::path folder;
    std::shared_ptr<const Dataset> dataset;
    std::string digest;
    std::size_t before = 0;  // samples in the parts before this one
  };
  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

 private:
  Status add(const std::filesystem::path& folder);
  [[nodiscard]] const Part& part_of(std::size_t i) const;

  std::vector<Part> parts_;
  std::size_t size_ = 0;
  Geometry geometry_;
};

}  // namespace outcrop::data
