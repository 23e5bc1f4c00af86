#pragma once

#include <torch/script.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace outcrop::models {

// A network that others wrote, in the form in which methods of quantization know networks: one forward
// without calls of functions, whose layers with weights (graph_layers.hpp) are its children, each named by
// where its weight was ("features.0.conv" is features_0_conv), and everything else a constant. In
// evaluation mode: batch norms behind convolutions, transposed ones too, are folded, dropout is gone, changes in place are not. A convolution along one axis is one along two. It answers as
// `network` does, up to rounding; arguments with a default are gone, at it.
//
// LibTorch's passes for int8 follow values through one graph, and lose them at every border of a
// module that is no layer: a network of nn.Sequential would stay float.
//
// Layers of attention, which torch.nn calls as one fused operation where no gradients are wanted, are as in training,
// apart. Of `example`, arguments of forward, only what all rows share is used: what asks for numbers of axes and types is
// decided, and so are the branches that hang on it.
// Throws c10::Error where it cannot be had: a layer whose numbers are not constants, attributes that are
// changed, calls that are not of TorchScript.
[[nodiscard]] torch::jit::Module layered_form(const torch::jit::Module& network,
                                              const std::vector<torch::Tensor>& example = {});

// How the tensors of a layer of such a form come from those of the network.
struct LayerOrigin {
  // Paths of what a batch norm that was folded into it has; "" of weight and bias where it has none.
  struct Norm {
    std::string weight;
    std::string bias;
    std::string mean;
    std::string variance;
    double epsilon = 0.0;
  };
  std::vector<std::pair<std::string, std::string>> tensors;  // name in the layer and path in the network
  std::optional<Norm> norm;
  bool lifted = false;            // as of GraphLayer
  std::int64_t channel_axis = 0;
  std::int64_t groups = 1;
};

struct LayeredNetwork {
  torch::jit::Module module;                   // layered_form()
  std::map<std::string, LayerOrigin> origins;  // of layers whose tensors are all the network's own, by their names
};
[[nodiscard]] LayeredNetwork layered_network(const torch::jit::Module& network,
                                             const std::vector<torch::Tensor>& example = {});

// The tensors of such a layer, by their names in it, of those that the network has now: `tensor` answers that of a path.
// Differentiable.
[[nodiscard]] std::vector<std::pair<std::string, torch::Tensor>> tensors_of_layer(
    const LayerOrigin& origin, const std::function<torch::Tensor(const std::string&)>& tensor);

// The first operation that changes a tensor in place, "aten::mul_", in forward with all it calls; "" where there
// is none. Passes of LibTorch (optimizeForMobile, those of static int8) move operations past such changes.
[[nodiscard]] std::string change_in_place(const torch::jit::Module& network);

// Operations of such a form that have tensors of their own and are no layers, each once: "layer_norm".
[[nodiscard]] std::vector<std::string> other_operations(const torch::jit::Module& layered);

}  // namespace outcrop::models
