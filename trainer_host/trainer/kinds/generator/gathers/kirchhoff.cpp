#include "trainer_host/trainer/kinds/generator/gathers/kirchhoff.hpp"

#include <cmath>
#include <numbers>

#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/gather_net.hpp"

namespace outcrop::generator {
namespace {

using models::Layer;
using torch::Tensor;

constexpr std::int64_t beyond = 10;            // image columns on each side of the map
constexpr std::int64_t midpoint_features = 8;  // the first of them
constexpr std::int64_t image_features = 4;
constexpr std::int64_t bins = 8;               // of a phase's times: two samples each

// A bin lies where the wavelet's peak comes. What does not come within the record goes into a slot before the first bin
// or into one behind the last, which are dropped. Shared between two bins, a value is added whole to the earlier one, and
// what of it belongs to the later one is added up beside and moved there by all bins at once.
//
// A shot at a time: what is as large as points times receivers then stays in a processor's cache.
//
// Vertical times reach the top of each cell from the row of sources, 1: nothing of row 0, half of row 1.
constexpr const char* summing_source = R"(
def imaged(self, velocity: Tensor) -> Tensor:
    normalized = torch.unsqueeze((velocity - self.middle) * self.per_half_range, 1)
    return torch.replication_pad2d(normalized, [3, 3, 0, 0])

def laid_in_bins(self, values: Tensor, slot: Tensor) -> Tensor:
    shots = values.size(0)
    held = torch.clamp(slot, 0.0, self.bins + 1.0)
    below = torch.floor(held)
    index = torch.unsqueeze(below.to(4), 1).expand([-1, values.size(1), -1, -1])
    later = values * torch.unsqueeze(held - below, 1)
    nothing = torch.zeros([shots, values.size(1), slot.size(1), self.bins + 2], dtype=6, layout=None, device=None, pin_memory=False)
    later = torch.scatter_add(nothing, 3, index, later)
    made = torch.scatter_add(nothing, 3, index, values) - later
    made = made[:, :, :, 1:self.bins + 1] + later[:, :, :, :self.bins]
    phases = torch.reshape(made, [shots, values.size(1), self.phase_columns, self.phase_rows, 8])
    return torch.reshape(torch.permute(phases, [0, 1, 4, 3, 2]), [shots, values.size(1) * 8, self.phase_rows, self.phase_columns])

def vertical(self, velocity: Tensor) -> Tensor:
    crossing = torch.reciprocal(velocity) * self.spacing * self.row_share
    path = crossing * velocity * velocity
    return torch.stack([torch.cumsum(crossing, 1) - crossing, torch.cumsum(path, 1) - path], 1)

def legs(self, sums: Tensor, squared_offset: Tensor) -> Tuple[Tensor, Tensor]:
    tau = sums[:, 0]
    squared = torch.clamp_min(sums[:, 1], 1e-3) / torch.clamp_min(tau, 1e-6)
    squared = torch.where(torch.gt(tau, 1e-5), squared, self.shallow)
    return torch.sqrt(tau * tau + squared_offset / squared), tau

def kirchhoff(self, features: Tensor, velocity: Tensor, columns: Tensor) -> Tensor:
    shots = columns.size(0)
    receivers = self.phase_columns
    inner = features[:, :, :, 3:3 + self.width]
    vertical = self.vertical(velocity)
    depth = vertical.size(2)

    sums = torch.constant_pad_nd(torch.cumsum(vertical, 3), [1, 0], 0.0)
    images = self.image_from.size(1)
    from_receivers = torch.index_select(sums, 3, self.receiver_to) - torch.index_select(sums, 3, self.receiver_from)
    from_receivers = torch.reshape(from_receivers * self.receiver_share, [sums.size(0), 2, depth, receivers, images])
    leg, tau = self.legs(from_receivers, self.receiver_offset)
    receiver_slant = torch.sqrt(tau / (leg + 0.01)) * torch.rsqrt(leg + 0.02) * self.taper
    receiver_slant = torch.reshape(torch.permute(receiver_slant, [0, 2, 1, 3]), [sums.size(0), 1, receivers, -1])
    receiver_slots = torch.reshape(torch.permute(leg * self.per_bin, [0, 2, 1, 3]), [sums.size(0), receivers, -1])
    sums = sums.expand([shots, -1, -1, -1])
    first = torch.reshape(torch.index_select(self.image_from, 0, columns), [shots, 1, 1, images]).expand([-1, 2, depth, -1])
    last = torch.reshape(torch.index_select(self.image_to, 0, columns), [shots, 1, 1, images]).expand([-1, 2, depth, -1])
    share = torch.reshape(torch.index_select(self.image_share, 0, columns), [shots, 1, 1, images])
    from_source = (torch.gather(sums, 3, last) - torch.gather(sums, 3, first)) * share
    offset = torch.reshape(torch.index_select(self.image_offset, 0, columns), [shots, 1, images])
    leg, tau = self.legs(from_source, offset)
    source_slots = torch.reshape((leg + self.delay) * self.per_bin + 0.5, [shots, 1, -1])
    source_slant = torch.reshape(torch.sqrt(tau / (leg + 0.01)) * torch.rsqrt(leg + 0.02) * 0.05, [shots, 1, 1, -1])
    points = inner[:, 8:]
    points = torch.reshape(points, [points.size(0), 4, depth, receivers, 2]).mean([4])
    points = torch.replication_pad2d(points, [10, 10, 0, 0])
    points = torch.reshape(points, [points.size(0), 4, 1, -1]) * source_slant
    receiver_slant = receiver_slant.expand([shots, -1, -1, -1])
    receiver_slots = receiver_slots.expand([shots, -1, -1])
    summed: List[Tensor] = []
    for shot in range(shots):
        loudness = points[shot:shot + 1] * receiver_slant[shot:shot + 1]
        summed.append(self.laid_in_bins(loudness, source_slots[shot:shot + 1] + receiver_slots[shot:shot + 1]))
    echoes = torch.cat(summed)

    middle = torch.reshape(torch.index_select(self.midpoint, 0, columns), [shots, 1, 1, receivers])
    left = torch.floor(middle)
    part = middle - left
    at = left.to(4)
    right = torch.clamp_max(at + 1, self.width - 1)
    columnwise = vertical.expand([shots, -1, -1, -1])
    there = torch.gather(columnwise, 3, at.expand([-1, 2, depth, -1])) * (1.0 - part)
    there = there + torch.gather(columnwise, 3, right.expand([-1, 2, depth, -1])) * part
    offset = torch.reshape(torch.index_select(self.pair_offset, 0, columns), [shots, 1, receivers])
    leg, tau = self.legs(there, offset * 0.25)
    leg = leg * 2.0
    spread = torch.rsqrt(leg + 0.04) * 0.4
    slanted = spread * (1.0 - torch.square(tau * 2.0 / torch.clamp_min(leg, 1e-4)))
    seen = inner[:, :8].expand([shots, -1, -1, -1])
    seen = torch.gather(seen, 3, at.expand([-1, 8, depth, -1])) * (1.0 - part) + torch.gather(seen, 3, right.expand([-1, 8, depth, -1])) * part
    seen = torch.cat([seen[:, :3] * torch.unsqueeze(slanted, 1), seen[:, 3:] * torch.unsqueeze(spread, 1)], 1)
    seen = torch.permute(seen, [0, 1, 3, 2])
    reflections = self.laid_in_bins(seen, torch.permute((leg + self.delay) * self.per_bin + 0.5, [0, 2, 1]))

    crossing = torch.reciprocal(velocity[:, 1]) * self.spacing
    arrival = torch.constant_pad_nd(torch.cumsum((crossing[:, 1:] + crossing[:, :-1]) * 0.5, 1), [1, 0], 0.0)
    arrival = arrival.expand([shots, -1])
    direct = torch.abs(arrival - torch.gather(arrival, 1, torch.unsqueeze(columns, 1)))
    direct = torch.reshape(direct, [shots, receivers, 2])
    slots = (direct + self.delay) * self.per_bin + 0.5
    spike = torch.ones([shots, 1, receivers, 1], dtype=6, layout=None, device=None, pin_memory=False)
    one = self.laid_in_bins(spike, slots[:, :, 0:1])
    other = self.laid_in_bins(spike, slots[:, :, 1:2])
    return torch.cat([reflections, echoes, one, other, self.beside(velocity, columns)], 1)
)";

Layer image_layer(std::string name, std::int64_t in, std::int64_t out) {
  return {.name = std::move(name), .in_channels = in, .out_channels = out, .batch_norm = true};
}

// Which columns of a map lie between a surface column and each image column, ends included.
struct Between {
  Tensor first;  // [surface, images] int64
  Tensor last;   // one behind
  Tensor share;  // 1 / (last - first)
  Tensor squared_offset;  // metres²
};

Between between(const Tensor& surface, const Tensor& images, const data::Geometry& geometry) {
  const auto end = static_cast<double>(geometry.width - 1);
  const auto a = surface.unsqueeze(1);
  const auto m = images.unsqueeze(0);
  const auto first = torch::minimum(a, m).round().clamp(0.0, end);
  const auto last = torch::maximum(a, m).round().clamp(0.0, end) + 1.0;
  return {first.to(torch::kLong), last.to(torch::kLong), 1.0 / (last - first),
          ((a - m) * geometry.spacing).square()};
}

}  // namespace

std::vector<Layer> gather_front_layers() {
  return {image_layer("image1", 1, 16), image_layer("image2", 16, 16),
          image_layer("image3", 16, midpoint_features + image_features)};
}

std::int64_t kirchhoff_channels() {
  return (midpoint_features + image_features + phases::receivers) * bins + beside_channels;
}

std::string kirchhoff_source() {
  return summing_source;
}

void register_kirchhoff(torch::jit::Module& maker, const data::Geometry& geometry) {
  const auto [rows, receivers] = phase_positions(geometry);
  const auto images = receivers + 2 * beyond;
  const auto width = static_cast<std::int64_t>(geometry.width);
  const auto sources = torch::arange(width, torch::kDouble);
  const auto pairs = torch::arange(receivers, torch::kDouble) * 2 + 0.5;
  const auto image = (torch::arange(images, torch::kDouble) - beyond) * 2 + 0.5;
  const Between of_sources = between(sources, image, geometry);
  const Between of_receivers = between(pairs, image, geometry);
  const auto buffer = [&](const char* name, const Tensor& value) {
    maker.register_buffer(name, (value.is_floating_point() ? value.to(torch::kFloat) : value).contiguous());
  };
  buffer("image_from", of_sources.first);
  buffer("image_to", of_sources.last);
  buffer("image_share", of_sources.share);
  buffer("image_offset", of_sources.squared_offset);
  buffer("receiver_from", of_receivers.first.flatten());
  buffer("receiver_to", of_receivers.last.flatten());
  buffer("receiver_share", of_receivers.share.flatten());
  buffer("receiver_offset", of_receivers.squared_offset);
  buffer("midpoint", (sources.unsqueeze(1) + pairs.unsqueeze(0)) * 0.5);
  buffer("pair_offset", ((sources.unsqueeze(1) - pairs.unsqueeze(0)) * geometry.spacing).square());
  const auto rise = 0.5 - 0.5 * (std::numbers::pi * (torch::arange(beyond, torch::kDouble) + 0.5) / beyond).cos();
  buffer("taper", torch::cat({rise, torch::ones({receivers}, torch::kDouble), rise.flip({0})}));
  auto row_share = torch::ones({static_cast<std::int64_t>(geometry.depth), 1}, torch::kDouble);
  row_share[0] = 0.0;
  row_share[1] = 0.5;
  buffer("row_share", row_share);
  const double slowest = static_cast<double>(geometry.slowest);
  buffer("shallow", torch::tensor(slowest * slowest));
  maker.register_attribute("bins", c10::IntType::get(), rows * bins);
  const double peak = static_cast<double>(data::wavelet_peak(geometry.peak_frequency)) * 1e-3;
  maker.register_attribute("delay", c10::FloatType::get(), peak);
  maker.register_attribute("per_bin", c10::FloatType::get(), 0.5 / geometry.time_step);
}

std::int64_t kirchhoff_multiply_adds(const data::Geometry& geometry) {
  const auto [rows, receivers] = phase_positions(geometry);
  const auto depth = static_cast<std::int64_t>(geometry.depth);
  const auto points = receivers * depth * (receivers + 2 * beyond);
  constexpr std::int64_t each_point = 2 * image_features + 8;  // two bins of each feature; the time and the weight
  constexpr std::int64_t each_cell = 2 * midpoint_features + 10;
  return static_cast<std::int64_t>(geometry.shots) * (points * each_point + receivers * depth * each_cell);
}

}  // namespace outcrop::generator
