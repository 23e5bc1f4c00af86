#include "trainer_host/trainer/data/dataset_list.hpp"

#include <algorithm>
#include <iterator>

#include "protocol/trust/digest.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;

Result<DatasetList> DatasetList::open(const std::vector<fs::path>& folders) {
  DatasetList list;
  for (const fs::path& folder : folders) OUTCROP_CHECK(list.add(folder));
  return list;
}

Status DatasetList::add(const fs::path& folder) {
  OUTCROP_TRY(opened, Dataset::open(folder));
  if (parts_.empty()) {
    geometry_ = opened.geometry();
  } else {
    OUTCROP_CHECK(check_same_geometry(geometry_, parts_.front().folder.string(), opened.geometry(),
                                      folder.string()));
  }
  std::string digest = opened.digest();
  for (const Part& part : parts_) {
    if (part.digest != digest) continue;
    return fail(ErrorCode::invalid_argument, part.folder.string() + " and " + folder.string() +
                                                 " hold the same samples; name one of them");
  }
  const std::size_t before = size_;
  size_ += opened.size();
  parts_.push_back(
      {folder, std::make_shared<const Dataset>(std::move(opened)), std::move(digest), before});
  return {};
}

const DatasetList::Part& DatasetList::part_of(std::size_t i) const {
  const auto behind =
      std::upper_bound(parts_.begin(), parts_.end(), i,
                       [](std::size_t index, const Part& part) { return index < part.before; });
  return *std::prev(behind);
}

std::span<const float> DatasetList::velocity(std::size_t i) const {
  const Part& part = part_of(i);
  return part.dataset->velocity(i - part.before);
}

std::span<const float> DatasetList::gathers(std::size_t i) const {
  const Part& part = part_of(i);
  return part.dataset->gathers(i - part.before);
}

std::string DatasetList::digest() const {
  if (parts_.empty()) return "";
  if (parts_.size() == 1) return parts_.front().digest;
  std::string digests;
  for (const Part& part : parts_) digests += part.digest;
  return trust::sha256(digests).hex();
}

}  // namespace outcrop::data
