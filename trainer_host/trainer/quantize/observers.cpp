#include "trainer_host/trainer/quantize/observers.hpp"

#include <limits>

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

// Eight bins for each of the 256 codes: fine enough to tell ranges apart.
constexpr std::int64_t histogram_bins = 2048;

constexpr const char* activation_forward = R"(
def forward(self, x):
    d = torch.clamp(torch.flatten(torch.detach(x)), self.floor, self.ceiling)
    if self.counting:
        low = float(self.min_val)
        high = float(self.max_val)
        self.counts = self.counts + torch.histc(d, self.bins, low, high)
    else:
        self.min_val = torch.minimum(self.min_val, torch.min(d))
        self.max_val = torch.maximum(self.max_val, torch.max(d))
    return x
)";

// Shrinks the range from what was seen: all of it first, then each end on its own around the
// best, which is where skewed distributions gain.
constexpr const char* activation_parameters = R"(
def qparams_of(self, low: float, high: float) -> Tuple[float, int]:
    scale = (high - low) / float(self.quant_max - self.quant_min)
    if scale < self.smallest_scale:
        scale = self.smallest_scale
    zero_point = self.quant_min - int(torch.round(torch.tensor(low / scale)))
    return scale, min(max(zero_point, self.quant_min), self.quant_max)

def error_of(self, low: float, high: float) -> float:
    scale, zero_point = self.qparams_of(low, high)
    width = (self.max_val - self.min_val) / float(self.bins)
    x = self.min_val + (torch.arange(0, self.bins) + 0.5) * width
    q = torch.clamp(torch.round(x / scale) + zero_point, self.quant_min, self.quant_max)
    return float(torch.sum(self.counts * torch.square((q - zero_point) * scale - x)))

def calculate_qparams(self):
    low = min(float(self.min_val), 0.0)
    high = max(float(self.max_val), 0.0)
    if self.search and float(torch.sum(self.counts)) > 0.0:
        best = self.error_of(low, high)
        widest_low = low
        widest_high = high
        for i in range(1, 80):
            share = 1.0 - 0.01 * i
            error = self.error_of(widest_low * share, widest_high * share)
            if error < best:
                best = error
                low = widest_low * share
                high = widest_high * share
        start_low = low
        for i in range(41):
            candidate = max(start_low * (0.8 + 0.01 * i), widest_low)
            error = self.error_of(candidate, high)
            if error < best:
                best = error
                low = candidate
        start_high = high
        for i in range(41):
            candidate = min(start_high * (0.8 + 0.01 * i), widest_high)
            error = self.error_of(low, candidate)
            if error < best:
                best = error
                high = candidate
    scale, zero_point = self.qparams_of(low, high)
    return torch.tensor([scale]), torch.tensor([zero_point])
)";

// The weight is looked at once; the search works on rows, one for each scale.
constexpr const char* weight_source = R"(
def forward(self, x):
    self.weight = torch.detach(x)
    return x

def calculate_qparams(self):
    rows = torch.reshape(self.weight, [1, -1])
    if self.per_channel:
        rows = torch.flatten(torch.transpose(self.weight, 0, self.ch_axis), 1)
    largest = torch.amax(torch.abs(rows), [1], True)
    best_scale = torch.clamp_min(largest / 127.0, self.smallest_scale)
    best = torch.full_like(largest, 1e30)
    for i in range(51):
        scale = torch.clamp_min(largest * (1.0 - 0.01 * i) / 127.0, self.smallest_scale)
        q = torch.clamp(torch.round(rows / scale), -127, 127)
        error = torch.sum(torch.square(q * scale - rows), [1], True)
        better = error < best
        best = torch.where(better, error, best)
        best_scale = torch.where(better, scale, best_scale)
    scale = torch.flatten(best_scale)
    return scale, torch.zeros_like(scale).to(4)
)";

void register_integer(Module& module, const char* name, std::int64_t value) {
  module.register_attribute(name, c10::IntType::get(), value);
}

}  // namespace

Module make_activation_observer(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                                ActivationType type, RangeSearch search) {
  const bool is_signed = type == ActivationType::qint8;
  Module observer("__torch__.outcrop.ActivationObserver", unit, /*shouldMangle=*/true);
  register_integer(
      observer, "dtype",
      static_cast<std::int64_t>(is_signed ? c10::ScalarType::QInt8 : c10::ScalarType::QUInt8));
  observer.register_attribute("qscheme", c10::QSchemeType::get(),
                              static_cast<std::int64_t>(c10::kPerTensorAffine));
  register_integer(observer, "quant_min", is_signed ? -128 : 0);
  register_integer(observer, "quant_max", is_signed ? 127 : 255);
  register_integer(observer, "bins", histogram_bins);
  observer.register_attribute("smallest_scale", c10::FloatType::get(), smallest_scale);
  observer.register_attribute("search", c10::BoolType::get(), search == RangeSearch::squared_error);
  constexpr double unlimited = std::numeric_limits<float>::max();
  observer.register_attribute("floor", c10::FloatType::get(), -unlimited);
  observer.register_attribute("ceiling", c10::FloatType::get(), unlimited);
  observer.register_buffer("min_val", torch::zeros({}));
  observer.register_buffer("max_val", torch::zeros({}));
  observer.register_attribute("counting", c10::BoolType::get(), false);
  observer.register_buffer("counts", torch::zeros({histogram_bins}));
  observer.define(activation_forward);
  observer.define(activation_parameters);
  return observer;
}

Module make_weight_observer(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                            std::optional<std::int64_t> channel_axis) {
  const bool per_channel = channel_axis.has_value();
  Module observer("__torch__.outcrop.WeightObserver", unit, /*shouldMangle=*/true);
  register_integer(observer, "dtype", static_cast<std::int64_t>(c10::ScalarType::QInt8));
  observer.register_attribute(
      "qscheme", c10::QSchemeType::get(),
      static_cast<std::int64_t>(per_channel ? c10::kPerChannelAffine : c10::kPerTensorAffine));
  register_integer(observer, "ch_axis", channel_axis.value_or(0));
  observer.register_attribute("per_channel", c10::BoolType::get(), per_channel);
  observer.register_attribute("smallest_scale", c10::FloatType::get(), smallest_scale);
  observer.register_buffer("weight", torch::zeros({1}));
  observer.define(weight_source);
  return observer;
}

}  // namespace outcrop::quantize
