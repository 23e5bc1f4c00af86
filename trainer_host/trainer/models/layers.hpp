#pragma once

#include <torch/script.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace outcrop::models {

// One step of a convolutional network. A network is a list of them, each on the one before it unless
// it says otherwise, which `build_network` writes
// down as TorchScript: what is trained (training_form.hpp), exported and quantized.
struct Layer {
  static constexpr const char* network_input = "input";  // no layer's name
  enum class Kind { convolution, transposed_convolution };

  std::string name;  // of the child module, unique in the network
  Kind kind = Kind::convolution;
  std::int64_t in_channels = 0;
  std::int64_t out_channels = 0;
  std::array<std::int64_t, 2> kernel{3, 3};  // rows (depth or time), columns
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{1, 1};
  bool batch_norm = false;  // child `<name>_norm`; after a plain convolution only, so that it folds
  bool relu = true;
  // Where above 1: of each square of so many rows and columns the largest value, what is left over
  // at the end dropped (after the ReLU).
  std::int64_t pool = 1;
  // The layer whose result this one takes, or `network_input`; empty: the one before it, or the network's input.
  std::string input{};
  // A layer whose result, of the same shape, is added to this one's before ReLU. With it, the
  // concatenation of a and b under a convolution is two of them, each with weights (and, in int8,
  // scales) of its own: conv(cat(a, b)) = conv_a(a) + conv_b(b).
  std::string plus{};
  // A layer without positions, as many channels as this one has: at each position these values are averaged, weighed by
  // this one's channels (softmax over them), and one channel comes out. What the weights belong to is flat, and ends
  // where they change.
  std::string values{};
  // Where rows > 0: the output channels at the single position are laid out as this grid, each
  // value with weights of its own, out_channels = channels · rows · columns.
  struct Grid {
    std::int64_t channels = 0;
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    bool channels_last = false;  // channel by channel at each position, instead of one by one
  };
  Grid grid{};

  // Rows and columns at which it computes, before pooling.
  [[nodiscard]] std::array<std::int64_t, 2> positions(std::array<std::int64_t, 2> size) const;
  // Rows and columns this layer makes of an input of `size`.
  [[nodiscard]] std::array<std::int64_t, 2> output_size(std::array<std::int64_t, 2> size) const;
  // Multiply-adds for one sample of `size` at its input; border effects are not subtracted.
  [[nodiscard]] std::int64_t multiply_adds(std::array<std::int64_t, 2> size) const;
};

// A TorchScript module `type_name` with a child for each layer (types named as in torch.nn, which
// is how the quantization passes know them) and `forward(x)`. Weights are drawn from `random`
// (He et al. 2015, for the fan-in that a strided or transposed convolution really has).
// Throws c10::Error when LibTorch refuses the source, or where a layer names none before it.
[[nodiscard]] torch::jit::Module build_network(const std::string& type_name,
                                               const std::vector<Layer>& layers,
                                               at::Generator random);

}  // namespace outcrop::models
