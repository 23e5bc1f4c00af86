#include "trainer_host/trainer/quantize/reference/integer_reference.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

namespace outcrop::quantize::reference {
namespace {

std::size_t place(const Shape& shape, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) {
  return static_cast<std::size_t>(((n * shape[1] + c) * shape[2] + h) * shape[3] + w);
}

CodeTensor make_tensor(const Shape& shape, const Coding& coding) {
  const auto size = static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
  return {shape, std::vector<std::int32_t>(size), coding};
}

// The default rounding mode is to even.
std::int32_t as_code(float value, const Coding& coding, bool relu) {
  const std::int32_t lowest = relu ? std::max(coding.lowest, coding.zero_point) : coding.lowest;
  const float least = static_cast<float>(lowest - coding.zero_point);
  const float most = static_cast<float>(coding.highest - coding.zero_point);
  return static_cast<std::int32_t>(std::nearbyint(std::clamp(value, least, most))) + coding.zero_point;
}

double scale_of(const CodeWeights& weights, std::int64_t channel) {
  return weights.scales.size() == 1 ? weights.scales[0] : weights.scales[static_cast<std::size_t>(channel)];
}

std::int64_t bias_of(const CodeWeights& weights, const CodeTensor& x, std::int64_t channel) {
  if (weights.bias.empty()) return 0;
  const double scale = x.coding.scale * scale_of(weights, channel);
  return std::llrint(weights.bias[static_cast<std::size_t>(channel)] / scale);
}

std::int32_t requantize(std::int64_t sum, double scale, const Coding& output, bool relu) {
  if (sum != static_cast<std::int32_t>(sum)) throw std::overflow_error("a sum leaves 32 bits");
  const auto factor = static_cast<float>(scale / output.scale);
  return as_code(static_cast<float>(sum) * factor, output, relu);
}

void for_each_place(const Shape& shape,
                    const std::function<void(std::int64_t, std::int64_t, std::int64_t, std::int64_t)>& visit) {
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      for (std::int64_t h = 0; h < shape[2]; ++h) {
        for (std::int64_t w = 0; w < shape[3]; ++w) visit(n, c, h, w);
      }
    }
  }
}

std::int64_t extent(std::int64_t size, std::int64_t kernel, const Placement& placement, std::size_t axis) {
  return (size + 2 * placement.padding[axis] - placement.dilation[axis] * (kernel - 1) - 1) /
             placement.stride[axis] + 1;
}

// The positions of the input under one of the kernel's, the kernel's own first: visit(kh, kw, h, w).
void for_each_tap(const Shape& x, std::array<std::int64_t, 2> kernel, const Placement& placement, std::int64_t h,
                  std::int64_t w,
                  const std::function<void(std::int64_t, std::int64_t, std::int64_t, std::int64_t)>& visit) {
  for (std::int64_t kh = 0; kh < kernel[0]; ++kh) {
    for (std::int64_t kw = 0; kw < kernel[1]; ++kw) {
      const std::int64_t row = h * placement.stride[0] - placement.padding[0] + kh * placement.dilation[0];
      const std::int64_t column = w * placement.stride[1] - placement.padding[1] + kw * placement.dilation[1];
      if (row >= 0 && row < x[2] && column >= 0 && column < x[3]) visit(kh, kw, row, column);
    }
  }
}

}  // namespace

CodeTensor convolve(const CodeTensor& x, const CodeWeights& weights, const Placement& placement,
                    const Coding& output, bool relu) {
  CodeTensor y = make_tensor({x.shape[0], weights.shape[0], extent(x.shape[2], weights.shape[2], placement, 0),
                              extent(x.shape[3], weights.shape[3], placement, 1)},
                             output);
  const std::int64_t outputs = weights.shape[0] / placement.groups;
  for_each_place(y.shape, [&](auto n, auto c, auto h, auto w) {
    std::int64_t sum = bias_of(weights, x, c);
    const std::int64_t first = c / outputs * weights.shape[1];
    for_each_tap(x.shape, {weights.shape[2], weights.shape[3]}, placement, h, w,
                 [&](auto kh, auto kw, auto row, auto column) {
                   for (std::int64_t i = 0; i < weights.shape[1]; ++i) {
                     sum += (x.codes[place(x.shape, n, first + i, row, column)] - x.coding.zero_point) *
                            weights.codes[place(weights.shape, c, i, kh, kw)];
                   }
                 });
    y.codes[place(y.shape, n, c, h, w)] = requantize(sum, x.coding.scale * scale_of(weights, c), output, relu);
  });
  return y;
}

CodeTensor convolve_transposed(const CodeTensor& x, const CodeWeights& weights, const Placement& placement,
                               const Coding& output) {
  const auto size = [&](std::size_t axis) {
    return (x.shape[axis + 2] - 1) * placement.stride[axis] - 2 * placement.padding[axis] +
           placement.dilation[axis] * (weights.shape[axis + 2] - 1) + placement.output_padding[axis] + 1;
  };
  const std::int64_t outputs = weights.shape[1];
  CodeTensor y = make_tensor({x.shape[0], outputs * placement.groups, size(0), size(1)}, output);
  std::vector<std::int64_t> sums(y.codes.size());
  for_each_place(y.shape, [&](auto n, auto c, auto h, auto w) {
    sums[place(y.shape, n, c, h, w)] = bias_of(weights, x, c);
  });
  const std::int64_t inputs = weights.shape[0] / placement.groups;
  for_each_place(x.shape, [&](auto n, auto i, auto h, auto w) {
    const std::int64_t value = x.codes[place(x.shape, n, i, h, w)] - x.coding.zero_point;
    for (std::int64_t o = 0; o < outputs; ++o) {
      for (std::int64_t kh = 0; kh < weights.shape[2]; ++kh) {
        for (std::int64_t kw = 0; kw < weights.shape[3]; ++kw) {
          const std::int64_t row = h * placement.stride[0] - placement.padding[0] + kh * placement.dilation[0];
          const std::int64_t column = w * placement.stride[1] - placement.padding[1] + kw * placement.dilation[1];
          if (row < 0 || row >= y.shape[2] || column < 0 || column >= y.shape[3]) continue;
          sums[place(y.shape, n, i / inputs * outputs + o, row, column)] +=
              value * weights.codes[place(weights.shape, i, o, kh, kw)];
        }
      }
    }
  });
  for_each_place(y.shape, [&](auto n, auto c, auto h, auto w) {
    const std::size_t at = place(y.shape, n, c, h, w);
    y.codes[at] = requantize(sums[at], x.coding.scale * scale_of(weights, c), output, false);
  });
  return y;
}

CodeTensor linear(const CodeTensor& x, const CodeWeights& weights, const Coding& output, bool relu) {
  return convolve(x, weights, {}, output, relu);
}

CodeTensor add(const CodeTensor& a, const CodeTensor& b, const Coding& output, bool relu) {
  CodeTensor y = make_tensor(a.shape, output);
  for (std::size_t i = 0; i < y.codes.size(); ++i) {
    const double sum = (a.codes[i] - a.coding.zero_point) * a.coding.scale +
                       (b.codes[i] - b.coding.zero_point) * b.coding.scale;
    y.codes[i] = as_code(static_cast<float>(sum / output.scale), output, relu);
  }
  return y;
}

CodeTensor concatenate(const std::vector<CodeTensor>& inputs, const Coding& output) {
  Shape shape = inputs.front().shape;
  shape[1] = 0;
  for (const CodeTensor& input : inputs) shape[1] += input.shape[1];
  CodeTensor y = make_tensor(shape, output);
  std::int64_t first = 0;
  for (const CodeTensor& input : inputs) {
    const double factor = input.coding.scale / output.scale;
    for_each_place(input.shape, [&](auto n, auto c, auto h, auto w) {
      const double steps = (input.codes[place(input.shape, n, c, h, w)] - input.coding.zero_point) * factor;
      y.codes[place(y.shape, n, first + c, h, w)] = as_code(static_cast<float>(steps), output, false);
    });
    first += input.shape[1];
  }
  return y;
}

CodeTensor max_pool(const CodeTensor& x, std::array<std::int64_t, 2> kernel, const Placement& placement) {
  CodeTensor y = make_tensor({x.shape[0], x.shape[1], extent(x.shape[2], kernel[0], placement, 0),
                              extent(x.shape[3], kernel[1], placement, 1)},
                             x.coding);
  for_each_place(y.shape, [&](auto n, auto c, auto h, auto w) {
    std::int32_t largest = x.coding.lowest;
    for_each_tap(x.shape, kernel, placement, h, w, [&](auto, auto, auto row, auto column) {
      largest = std::max(largest, x.codes[place(x.shape, n, c, row, column)]);
    });
    y.codes[place(y.shape, n, c, h, w)] = largest;
  });
  return y;
}

CodeTensor average_pool(const CodeTensor& x, std::array<std::int64_t, 2> kernel, const Placement& placement) {
  CodeTensor y = make_tensor({x.shape[0], x.shape[1], extent(x.shape[2], kernel[0], placement, 0),
                              extent(x.shape[3], kernel[1], placement, 1)},
                             x.coding);
  for_each_place(y.shape, [&](auto n, auto c, auto h, auto w) {
    std::int64_t sum = 0;
    for_each_tap(x.shape, kernel, placement, h, w, [&](auto, auto, auto row, auto column) {
      sum += x.codes[place(x.shape, n, c, row, column)] - x.coding.zero_point;
    });
    const float mean = static_cast<float>(sum) / static_cast<float>(kernel[0] * kernel[1]);
    y.codes[place(y.shape, n, c, h, w)] = as_code(mean, x.coding, false);
  });
  return y;
}

}  // namespace outcrop::quantize::reference
