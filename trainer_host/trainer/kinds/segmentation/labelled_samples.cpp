#include "trainer_host/trainer/kinds/segmentation/labelled_samples.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>

#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/segmentation/energy.hpp"

namespace outcrop::segmentation {
namespace {

// Of several folders, one behind the other, as their samples stand.
class LabelList {
 public:
  static Result<LabelList> open(const std::vector<std::filesystem::path>& folders,
                                std::int64_t classes) {
    LabelList list;
    for (const auto& folder : folders) {
      OUTCROP_TRY(labels, data::Labels::open(folder, classes));
      list.parts_.push_back(std::move(labels));
    }
    return list;
  }
  [[nodiscard]] std::size_t size() const {
    std::size_t all = 0;
    for (const auto& part : parts_) all += part.size();
    return all;
  }
  [[nodiscard]] std::span<const std::uint8_t> of(std::size_t i) const {
    auto part = parts_.begin();
    while (i >= part->size()) i -= part++->size();
    return part->of(i);
  }
  [[nodiscard]] std::string digests() const {
    std::string text;
    for (const auto& part : parts_) text += part.digest() + "\n";
    return text;
  }

 private:
  std::vector<data::Labels> parts_;
};

LabelledSamples room_for(std::int64_t count, std::int64_t rows, std::int64_t columns) {
  return {torch::empty({count, 1, rows, columns}), torch::empty({count, 1, rows, columns}),
          torch::empty({count, rows, columns}, torch::kByte)};
}

// `first`: where the samples' labels begin.
LabelledSamples take(const earth::Samples& samples, const LabelList& labels, std::size_t first,
                     const data::Geometry& geometry) {
  const auto count = static_cast<std::int64_t>(samples.size());
  const std::size_t cells = geometry.map_size();
  LabelledSamples taken = room_for(count, static_cast<std::int64_t>(geometry.depth),
                                   static_cast<std::int64_t>(geometry.width));
  at::parallel_for(0, count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      float* map = taken.velocity.data_ptr<float>() + at * cells;
      float* energy = taken.energy.data_ptr<float>() + at * cells;
      std::ranges::copy(samples.velocity(at), map);
      gather_energy({map, cells}, samples.gathers(at), {energy, cells}, geometry);
      std::ranges::copy(labels.of(first + at), taken.labels.data_ptr<std::uint8_t>() + at * cells);
    }
  });
  return taken;
}

std::string with_labels(const std::string& digest, const LabelList& labels) {
  return digest.empty() ? digest : trust::sha256(digest + "\n" + labels.digests()).hex();
}

}  // namespace

Result<LabelledData> open_labelled(const kinds::DataPlaces& places, std::int64_t classes,
                                   const std::optional<data::Geometry>& learned) {
  // Labels first: a folder without any is no data for this kind, however good its maps are.
  OUTCROP_TRY(labels, LabelList::open(places.train, classes));
  OUTCROP_TRY(held_out_labels, LabelList::open(places.validation, classes));
  OUTCROP_TRY(split, earth::open_samples(places, learned));
  const bool apart = !places.validation.empty();
  LabelledData data;
  data.geometry = split.geometry;
  data.training = take(split.training, labels, 0, split.geometry);
  data.held_out = take(split.held_out, apart ? held_out_labels : labels,
                       apart ? 0 : split.training.size(), split.geometry);
  data.summary = split.summary;
  data.summary.digest = with_labels(split.summary.digest, labels);
  data.summary.held_out_digest = with_labels(split.summary.held_out_digest, held_out_labels);
  return data;
}

std::int64_t samples_within(const LabelledSamples& samples, std::int64_t most,
                            std::int64_t cells) {
  const std::int64_t each = samples.labels.size(1) * samples.labels.size(2);
  return std::clamp<std::int64_t>(cells / each, 1, most);
}

LabelledSamples batch_of(const LabelledSamples& samples, std::span<const kinds::Draw> draws) {
  const auto count = static_cast<std::int64_t>(draws.size());
  LabelledSamples batch = room_for(count, samples.labels.size(1), samples.labels.size(2));
  for (std::int64_t i = 0; i < count; ++i) {
    const kinds::Draw& draw = draws[static_cast<std::size_t>(i)];
    const auto sample = static_cast<std::int64_t>(draw.sample);
    const auto shown = [&](const torch::Tensor& one) {
      return draw.mirrored ? one.flip({one.dim() - 1}) : one;
    };
    batch.velocity[i].copy_(shown(samples.velocity[sample]));
    batch.energy[i].copy_(shown(samples.energy[sample]));
    batch.labels[i].copy_(shown(samples.labels[sample]));
  }
  return batch;
}

}  // namespace outcrop::segmentation
