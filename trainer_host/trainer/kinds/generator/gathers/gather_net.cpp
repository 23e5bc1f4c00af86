#include "trainer_host/trainer/kinds/generator/gathers/gather_net.hpp"

#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"

namespace outcrop::generator {
namespace {

using models::Layer;
using Sizes = std::array<std::int64_t, 2>;

constexpr std::array<std::int64_t, 3> widths{32, 64, 96};  // multiples of 16: what int8 kernels take at once

Layer net_layer(std::string name, std::int64_t in, std::int64_t out, std::int64_t stride = 1) {
  return {.name = std::move(name), .in_channels = in, .out_channels = out, .stride = {stride, stride}, .batch_norm = true};
}

Layer residual(std::string name, std::int64_t channels, std::string over) {
  Layer layer = net_layer(std::move(name), channels, channels);
  layer.plus = std::move(over);
  return layer;
}

// Twice as many along each side, or one less: `to` is what halving, rounded up, came from.
Layer enlarging(std::string name, std::int64_t in, std::int64_t out, Sizes to, std::string over) {
  Layer layer{.name = std::move(name),
              .kind = Layer::Kind::transposed_convolution,
              .in_channels = in,
              .out_channels = out,
              .stride = {2, 2}};
  for (std::size_t i = 0; i < 2; ++i) {
    layer.kernel[i] = to[i] % 2 == 0 ? 2 : 3;
    layer.padding[i] = to[i] % 2 == 0 ? 0 : 1;
  }
  layer.plus = std::move(over);
  return layer;
}

// 61 is what the loudest pressure of OpenFWI stays below, one more: log-scaled pressure is within ±1.
constexpr const char* phasing_source = R"(
def log_scaled(self, pressure: Tensor) -> Tensor:
    return torch.sign(pressure) * torch.log1p(torch.abs(pressure)) * 0.24325728130826463

def pressure_of(self, y: Tensor) -> Tensor:
    held = torch.clamp(y, -1.0, 1.0) * 4.110873864173311
    return torch.sign(held) * torch.expm1(torch.abs(held))

def narrowed(self, x: Tensor) -> Tensor:
    return torch.sign(x) * torch.sqrt(torch.abs(x))

def widened(self, x: Tensor) -> Tensor:
    return x * (torch.abs(x) * 0.85 + 0.15)

def phases(self, x: Tensor) -> Tensor:
    shots = x.size(0)
    padded = torch.constant_pad_nd(x, [0, 0, 0, self.phase_rows * 16 - self.times], 0.0)
    apart = torch.reshape(padded, [shots, self.phase_rows, 16, self.phase_columns, 2])
    return torch.reshape(torch.permute(apart, [0, 2, 4, 1, 3]), [shots, 32, self.phase_rows, self.phase_columns])

def whole(self, x: Tensor) -> Tensor:
    shots = x.size(0)
    apart = torch.reshape(x, [shots, 16, 2, self.phase_rows, self.phase_columns])
    padded = torch.reshape(torch.permute(apart, [0, 3, 1, 4, 2]), [shots, self.phase_rows * 16, self.width])
    return padded[:, :self.times]

def beside(self, velocity: Tensor, columns: Tensor) -> Tensor:
    row = velocity[:, 1]
    crossing = torch.reciprocal(row) * self.spacing
    arrival = torch.constant_pad_nd(torch.cumsum((crossing[:, 1:] + crossing[:, :-1]) * 0.5, 1), [1, 0], 0.0)
    shots = columns.size(0)
    arrival = arrival.expand([shots, -1])
    at = torch.unsqueeze(columns, 1)
    direct = torch.abs(arrival - torch.gather(arrival, 1, at))
    heard = (row - self.middle) * self.per_half_range
    heard = heard.expand([shots, -1])
    size = [shots, 1, self.phase_rows, self.phase_columns]
    direct_there = torch.reshape(direct, [shots, 1, 1, self.phase_columns, 2]).mean([4])
    since = torch.clamp(self.ramp * self.duration - direct_there - self.onset, -0.25, 0.75)
    receiver = torch.reshape(heard, [shots, 1, 1, self.phase_columns, 2]).mean([4])
    source = torch.reshape(torch.gather(heard, 1, at), [shots, 1, 1, 1])
    offset = torch.unsqueeze(torch.unsqueeze(torch.index_select(self.offsets, 0, columns), 1), 1)
    return torch.cat([offset.expand(size), receiver.expand(size), source.expand(size), self.ramp.expand(size), since.expand(size)], 1)
)";

}  // namespace

Sizes phase_positions(const data::Geometry& geometry) {
  const auto times = static_cast<std::int64_t>(geometry.times);
  return {(times + phases::times - 1) / phases::times,
          static_cast<std::int64_t>(geometry.width) / phases::receivers};
}

std::vector<Layer> gather_net_layers(std::int64_t inputs, const data::Geometry& geometry) {
  const Sizes full = phase_positions(geometry);
  const Sizes half{(full[0] + 1) / 2, (full[1] + 1) / 2};
  const auto [fine, middle, coarse] = widths;
  Layer out = net_layer("out", fine, phases::channels);
  out.batch_norm = false;
  out.relu = false;
  return {net_layer("enter", inputs, fine),
          residual("fine1", fine, "enter"),
          residual("fine2", fine, "fine1"),
          net_layer("down1", fine, middle, 2),
          residual("middle1", middle, "down1"),
          residual("middle2", middle, "middle1"),
          net_layer("down2", middle, coarse, 2),
          residual("coarse1", coarse, "down2"),
          residual("coarse2", coarse, "coarse1"),
          enlarging("up1", coarse, middle, half, "middle2"),
          residual("middle3", middle, "up1"),
          enlarging("up2", middle, fine, full, "fine2"),
          residual("fine3", fine, "up2"),
          out};
}

std::string phases_source() {
  return phasing_source;
}

void register_phases(torch::jit::Module& maker, const data::Geometry& geometry) {
  const auto [rows, columns] = phase_positions(geometry);
  const auto width = static_cast<std::int64_t>(geometry.width);
  for (const auto& [name, value] : {std::pair<const char*, std::int64_t>{"times", geometry.times},
                                    {"width", width},
                                    {"phase_rows", rows},
                                    {"phase_columns", columns}}) {
    maker.register_attribute(name, c10::IntType::get(), value);
  }
  const earth::VelocityBounds bounds = earth::bounds_of(geometry);
  const double first_motion_to_peak = 1.1 / geometry.peak_frequency;
  for (const auto& [name, value] :
       {std::pair{"spacing", geometry.spacing}, {"middle", bounds.middle()},
        {"per_half_range", 1.0 / bounds.half_range()}, {"onset", first_motion_to_peak},
        {"duration", static_cast<double>(rows * phases::times) * geometry.time_step}}) {
    maker.register_attribute(name, c10::FloatType::get(), value);
  }
  // The middle of each position, as a share of all of the time, and of the widest offset.
  maker.register_buffer("ramp", ((torch::arange(rows, torch::kFloat) + 0.5) / static_cast<double>(rows)).reshape({1, 1, rows, 1}));
  const auto sources = torch::arange(width, torch::kFloat).unsqueeze(1);
  const auto receivers = (torch::arange(columns, torch::kFloat) * phases::receivers + 0.5).unsqueeze(0);
  maker.register_buffer("offsets", (receivers - sources).abs() / static_cast<double>(width));
}

}  // namespace outcrop::generator
