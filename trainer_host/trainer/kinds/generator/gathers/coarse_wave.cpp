#include "trainer_host/trainer/kinds/generator/gathers/coarse_wave.hpp"

#include <memory>
#include <string>

namespace outcrop::generator {
namespace {

// Fields are flat: row behind row, with as many zeros between two of them as the stencil reaches, so that
// each term of the stencil is one run over all of memory. Coefficients are 0 there, and so the zeros stay.
// Views of what the terms read are made once, for both fields.
//
// Squared slowness is averaged over what a node stands for: half of its own cell and a quarter of both
// neighbours', down and across.
constexpr const char* travelling_source = R"(
def nodes(self, velocity: Tensor) -> Tensor:
    cells = torch.unsqueeze(torch.reciprocal(velocity * velocity), 1)
    cells = torch.replication_pad2d(cells, [1, 2, 1, 1])
    rows = 2 * self.rows
    down = cells[:, :, 1:rows:2] * 0.25 + cells[:, :, 2:rows + 1:2] * 0.5 + cells[:, :, 3:rows + 2:2] * 0.25
    columns = 2 * self.columns
    slowness = down[:, :, :, 0:columns - 1:2] * 0.25 + down[:, :, :, 1:columns:2] * 0.5 + down[:, :, :, 2:columns + 1:2] * 0.25
    sponge = self.sponge
    return torch.reciprocal(torch.replication_pad2d(slowness, [sponge, sponge, sponge, sponge]))[:, 0]

def flat(self, nodes: Tensor) -> Tensor:
    return torch.flatten(torch.constant_pad_nd(nodes, [0, self.reach], 0.0), 1)

def shoot(self, velocity: Tensor, columns: Tensor) -> Tensor:
    squared = self.nodes(velocity)
    extreme = torch.amax(velocity, [1, 2])
    if self.of_slowest:
        extreme = torch.amin(velocity, [1, 2])
    half = self.damping * torch.reshape(extreme, [-1, 1, 1]) * 0.5
    share = torch.reciprocal(half + 1.0)
    ahead = self.flat(squared * share * self.courant)
    keep = self.flat(share * 2.0)
    lose = self.flat((half - 1.0) * share)
    source = torch.index_select(self.sources, 0, columns) * squared[:, self.sponge]
    source = torch.constant_pad_nd(source * self.strength, [0, self.reach], 0.0)
    shots = columns.size(0)
    stride = source.size(1)
    size = keep.size(1)
    margin = self.reach * stride
    before_all = torch.zeros([shots, size + 2 * margin], dtype=6, layout=None, device=None, pin_memory=False)
    now_all = torch.zeros_like(before_all)
    around_before: List[Tensor] = []
    around_now: List[Tensor] = []
    for k in range(1, self.reach + 1):
        for shift in [k, -k, k * stride, -k * stride]:
            around_before.append(before_all[:, margin + shift:margin + shift + size])
            around_now.append(now_all[:, margin + shift:margin + shift + size])
    before = before_all[:, margin:margin + size]
    now = now_all[:, margin:margin + size]
    row = self.sponge * stride
    first = row + self.first_recorded
    traces = torch.zeros([self.steps, shots, self.recorded], dtype=6, layout=None, device=None, pin_memory=False)
    bent = torch.zeros_like(now)
    stencil = self.stencil
    wavelet = self.wavelet
    for step in range(self.steps):
        bent.copy_(now).mul_(2.0 * stencil[0])
        for k in range(self.reach):
            for i in range(4):
                bent.add_(around_now[4 * k + i], alpha=stencil[k + 1])
        before.mul_(lose).addcmul_(keep, now).addcmul_(ahead, bent)
        before[:, row:row + stride].add_(source, alpha=wavelet[step])
        traces[step].copy_(before[:, first:first + self.recorded])
        after = before
        before = now
        now = after
        around_after = around_before
        around_before = around_now
        around_now = around_after
    return traces

def forward(self, velocity: Tensor, columns: Tensor) -> Tensor:
    traces = torch.flatten(self.shoot(velocity, columns), 1)
    windows = torch.constant_pad_nd(traces, [0, 0, self.margin, self.behind], 0.0).unfold(0, self.window, self.block)
    times = torch.flatten(torch.matmul(self.in_time, torch.transpose(windows, 1, 2)), 0, 1)[:self.times]
    gathers = torch.matmul(torch.reshape(times, [self.times, columns.size(0), self.recorded]), self.receivers)
    return torch.permute(gathers, [1, 0, 2]).contiguous()
)";

torch::Tensor table(const std::vector<double>& values, at::IntArrayRef shape) {
  return torch::tensor(values, torch::kDouble).to(torch::kFloat).reshape(shape).contiguous();
}

std::int64_t extent_of(std::size_t extent) {
  return static_cast<std::int64_t>(extent);
}

}  // namespace

torch::jit::Module make_coarse_wave(const CoarseGrid& grid, const data::Geometry& geometry) {
  torch::jit::Module wave("__torch__.outcrop.CoarseWave", std::make_shared<torch::jit::CompilationUnit>(),
                          /*shouldMangle=*/true);
  const auto width = extent_of(geometry.width);
  wave.register_buffer("damping", table(grid.damping, {extent_of(grid.all_rows()), extent_of(grid.all_columns())}));
  wave.register_buffer("sources", table(grid.sources, {width, extent_of(grid.all_columns())}));
  wave.register_buffer("receivers", table(grid.receivers, {extent_of(grid.recorded), width}));
  wave.register_buffer("in_time", table(grid.in_time, {extent_of(grid.blocks), extent_of(grid.block_times),
                                                       extent_of(grid.window)}));
  const std::size_t read = (grid.blocks - 1) * grid.block_steps + grid.window;
  const std::size_t there = grid.margin + grid.steps;
  for (const auto& [name, value] :
       {std::pair{"rows", grid.rows}, {"columns", grid.columns}, {"sponge", grid.sponge}, {"reach", grid.reach()},
        {"steps", grid.steps}, {"first_recorded", grid.first_recorded}, {"recorded", grid.recorded},
        {"margin", grid.margin}, {"behind", std::max(read, there) - there}, {"window", grid.window},
        {"block", grid.block_steps}, {"times", geometry.times}}) {
    wave.register_attribute(name, c10::IntType::get(), extent_of(value));
  }
  wave.register_attribute("of_slowest", c10::BoolType::get(), grid.of_slowest);
  const double courant = grid.step / grid.spacing;
  wave.register_attribute("courant", c10::FloatType::get(), courant * courant);
  wave.register_attribute("strength", c10::FloatType::get(), grid.source_strength * grid.step * grid.step);
  const auto floats = c10::ListType::create(c10::FloatType::get());
  wave.register_attribute("stencil", floats, c10::List<double>(c10::ArrayRef<double>(grid.stencil)));
  wave.register_attribute("wavelet", floats, c10::List<double>(c10::ArrayRef<double>(grid.wavelet)));
  wave.register_attribute("training", c10::BoolType::get(), false);
  wave.define(travelling_source);
  return wave;
}

std::int64_t coarse_wave_multiply_adds(const CoarseGrid& grid, const data::Geometry& geometry) {
  const auto nodes = extent_of(grid.all_rows() * (grid.all_columns() + grid.reach()));
  const auto each_step = extent_of(4 * grid.reach() + 4);
  const auto resampled = extent_of(grid.blocks * grid.block_times * grid.window * grid.recorded);
  return extent_of(grid.steps) * nodes * each_step + resampled +
         extent_of(geometry.shot_size() * grid.recorded);
}

}  // namespace outcrop::generator
