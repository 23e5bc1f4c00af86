#include "trainer_host/trainer/kinds/earth/samples.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "trainer_host/trainer/data/dataset_list.hpp"

namespace outcrop::earth {
namespace {

// Samples first … first + count of all of them.
Samples slice(const data::DatasetList& list, std::size_t first, std::size_t count) {
  Samples samples;
  for (const data::DatasetList::Part& part : list.parts()) {
    const std::size_t here = part.dataset->size();
    const std::size_t skipped = std::min(first, here);
    const std::size_t taken = std::min(count, here - skipped);
    if (taken > 0) samples.append(part.dataset, skipped, taken);
    first -= skipped;
    count -= taken;
  }
  return samples;
}

std::size_t hash_of(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  return std::hash<std::string_view>()(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

// How many maps of `held_out` stand among those of `training`: the same earth is known, whoever
// recorded it.
std::size_t count_shared(const Samples& training, const Samples& held_out) {
  if (held_out.size() == 0) return 0;
  std::unordered_multimap<std::size_t, std::size_t> by_map;
  for (std::size_t i = 0; i < training.size(); ++i) by_map.emplace(hash_of(training.velocity(i)), i);
  std::size_t shared = 0;
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    const auto [first, last] = by_map.equal_range(hash_of(held_out.velocity(i)));
    shared += std::any_of(first, last, [&](const auto& candidate) {
      return std::ranges::equal(training.velocity(candidate.second), held_out.velocity(i));
    });
  }
  return shared;
}

Status check_apart(const kinds::DataPlaces& places, const kinds::DataSummary& summary) {
  if (summary.shared == 0 || places.only_scored) return {};
  const std::string count =
      std::to_string(summary.shared) + " of " + std::to_string(summary.held_out);
  if (places.validation.empty()) {
    return fail(ErrorCode::invalid_argument,
                "data.train holds maps twice: " + count +
                    " samples held out at its end are trained on as well, and a score on what was "
                    "trained on says nothing; name folders without repeated maps");
  }
  return fail(ErrorCode::invalid_argument,
              "data.validation: " + count +
                  " of its maps are among those of data.train, and a score on what was trained on "
                  "says nothing; name samples that training does not see, or keep some of "
                  "data.train apart by held_out");
}

}  // namespace

const Samples::Part& Samples::part_of(std::size_t i) const {
  const auto behind = std::upper_bound(
      parts_.begin(), parts_.end(), i,
      [](std::size_t index, const Part& part) { return index < part.before; });
  return *std::prev(behind);
}

void SplitData::write_map(std::size_t sample, std::span<float> velocity) const {
  if (fresh) {
    fresh->make(sample, velocity);
  } else {
    std::ranges::copy(training.velocity(sample), velocity.begin());
  }
}

Result<SplitData> open_samples(const kinds::DataPlaces& places,
                               const std::optional<data::Geometry>& learned) {
  OUTCROP_TRY(training, data::DatasetList::open(places.train));
  OUTCROP_TRY(validation, data::DatasetList::open(places.validation));
  if (training.size() > 0 && validation.size() > 0) {
    OUTCROP_CHECK(check_same_geometry(training.geometry(), "data.train", validation.geometry(),
                                      "data.validation"));
  }
  const auto held_out = static_cast<std::size_t>(places.held_out);
  const std::size_t count = training.size();
  if (!places.only_scored && count < held_out + 2) {
    return fail(ErrorCode::invalid_argument,
                "data.train holds " + std::to_string(count) + " samples, of which " +
                    std::to_string(held_out) +
                    " are held out: at least 2 must be left for training");
  }
  SplitData split;
  split.training = slice(training, 0, count - held_out);
  split.held_out = places.validation.empty() ? slice(training, count - held_out, held_out)
                                             : slice(validation, 0, validation.size());
  const auto& folders = places.validation.empty() ? places.train : places.validation;
  if (folders.size() == 1) {
    if (auto source = data::synth_source_of(folders.front())) split.held_out_source = *source;
  }
  split.summary = {.training = split.training.size(),
                   .held_out = split.held_out.size(),
                   .digest = training.digest(),
                   .held_out_digest = validation.digest()};
  split.summary.shared = count_shared(split.training, split.held_out);
  OUTCROP_CHECK(check_apart(places, split.summary));
  split.geometry = training.size() > 0 ? training.geometry() : validation.geometry();
  if (learned && training.size() + validation.size() == 0) {
    split.geometry = *learned;
  } else if (learned) {
    OUTCROP_CHECK(check_same_geometry(*learned, "what the model learned from", split.geometry,
                                      "the data"));
  }
  return split;
}

}  // namespace outcrop::earth
