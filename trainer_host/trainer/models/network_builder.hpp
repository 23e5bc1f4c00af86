#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <string>

namespace outcrop::models {

// Writes a network down as TorchScript: children with weights, and a `forward` in whatever the language
// has, skips, sums, attention, loops around a child. The module that results is trained
// (training_form.hpp), exported and quantized; there is no second description of it.
//
// Children are typed and named as in torch.nn, which is how the quantization passes know them, and called
// as `self.name.forward(x)`. Weights are drawn from `random` in the order of the calls, He et al. 2015 for
// what a ReLU follows, else with variance 1 / fan-in. Throws c10::Error where a name is used twice.
class NetworkBuilder {
 public:
  NetworkBuilder(const std::string& type_name, at::Generator random);

  struct Convolution1d {
    std::int64_t in_channels = 0;
    std::int64_t out_channels = 0;
    std::int64_t kernel = 3;
    std::int64_t stride = 1;
    std::int64_t padding = 1;
    bool before_relu = true;
  };
  // [N, in, length] to [N, out, length'].
  void convolution1d(const std::string& name, const Convolution1d& layer);
  // [..., in] to [..., out].
  void linear(const std::string& name, std::int64_t in, std::int64_t out, bool before_relu = false);
  // Over the last dimension, of `size` values (Ba et al. 2016); `epsilon` is added to their variance.
  void layer_norm(const std::string& name, std::int64_t size, double epsilon = 1e-5);
  // Over groups of the channels of [N, channels, ...] (Wu and He 2018).
  void group_norm(const std::string& name, std::int64_t groups, std::int64_t channels);
  // Rows of a table: int64 [...] to [..., size]. Drawn with variance 1.
  void embedding(const std::string& name, std::int64_t rows, std::int64_t size);
  // Scaled dot products (Vaswani et al. 2017): [N, tokens, size] to the same, by `heads` of
  // size / heads values each. Its projections are children `query`, `key`, `value` and `output`.
  void self_attention(const std::string& name, std::int64_t heads, std::int64_t size);
  // Any module, made elsewhere; it is taken over.
  void child(const std::string& name, torch::jit::Module module);

  // `source` defines `forward` and whatever it calls: "def forward(self, x):\n    return …\n". Throws
  // c10::Error with LibTorch's words where it refuses that.
  [[nodiscard]] torch::jit::Module finish(const std::string& source);

 private:
  // A child of torch.nn's type `kind` ("conv.Conv1d") with its tensors yet to come.
  torch::jit::Module begin(const std::string& kind) const;
  [[nodiscard]] torch::jit::Module make_linear(std::int64_t in, std::int64_t out,
                                               bool before_relu) const;
  [[nodiscard]] torch::Tensor drawn(at::IntArrayRef shape, double fan_in, bool before_relu) const;

  std::shared_ptr<torch::jit::CompilationUnit> unit_;
  torch::jit::Module network_;
  at::Generator random_;
};

}  // namespace outcrop::models
