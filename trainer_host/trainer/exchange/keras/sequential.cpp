#include "trainer_host/trainer/exchange/keras/sequential.hpp"

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>
#include <utility>

namespace outcrop::exchange {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t image_rank = 4;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// What Keras has no layer for; says what the operator does: "pads by reflection".
struct NotInKeras {
  std::string what;
};

bool is_image(const Value& value) { return value.shape.size() == image_rank; }
bool has_one_cell(const Value& image) { return image.shape[2] == 1 && image.shape[3] == 1; }

Json pair(const Pair& numbers) { return Json::array({numbers[0], numbers[1]}); }

// "conv1" of the weight "network.conv1.weight".
std::string name_of_layer(const Value& weight) {
  std::string name = weight.name.substr(0, weight.name.rfind('.'));
  name = name.substr(name.rfind('.') + 1);
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
  return plain && !name.empty() && std::isalpha(static_cast<unsigned char>(name.front())) != 0 ? name : "";
}

class Layers {
 public:
  explicit Layers(const Graph& graph) : graph_(graph) {}

  void add(const Operation& operation) {
    const Value& x = graph_.input_of(operation, 0);
    std::visit(Overloaded{[&](const Convolution& op) { convolution(op, operation, x); },
                          [&](const Linear& op) { linear(op, operation, x); },
                          [&](const Elementwise& op) { elementwise(op); },
                          [&](const Arithmetic& op) { arithmetic(op, operation); },
                          [&](const Softmax& op) { softmax(op, x); },
                          [&](const Pool& op) { pool(op); },
                          [&](const Reduce& op) { reduce(op, x, graph_.output_of(operation)); },
                          [&](const Pad& op) { pad(op, x); },
                          [&](const Reshape&) { reshape(x, graph_.output_of(operation)); },
                          [&](const auto&) { throw NotInKeras{"has no layer"}; }},
               operation.op);
  }

  std::vector<KerasLayer> take() { return std::move(layers_); }

 private:
  void layer(const std::string& class_name, Json config, std::vector<Value> weights = {}, const std::string& wanted = "") {
    const std::string name = wanted.empty() ? "layer_" + std::to_string(layers_.size() + 1) : wanted;
    std::string unique = name;
    for (int again = 2; !names_.insert(unique).second; ++again) unique = name + "_" + std::to_string(again);
    layers_.push_back({class_name, unique, std::move(config), std::move(weights)});
  }

  [[nodiscard]] std::optional<Value> bias_of(const Operation& operation) const {
    return operation.inputs.size() > 2 ? std::optional(graph_.input_of(operation, 2)) : std::nullopt;
  }

  void zero_padding(const Pair& before, const Pair& after) {
    if (before == Pair{0, 0} && after == Pair{0, 0}) return;
    layer("ZeroPadding2D", {{"padding", Json::array({Json::array({before[0], after[0]}), Json::array({before[1], after[1]})})}});
  }

  void convolution(const Convolution& op, const Operation& operation, const Value& x) {
    if (op.transposed) throw NotInKeras{"is transposed"};
    if (!is_image(x)) throw NotInKeras{"is along one axis"};
    const Value& weight = graph_.input_of(operation, 1);
    const Pair kernel{weight.shape[2], weight.shape[3]};
    // Keras' "same" is on both sides alike where nothing is left over.
    const auto keeps_size = [&](std::size_t i) {
      return op.stride[i] == 1 && 2 * op.padding[i] == op.dilation[i] * (kernel[i] - 1);
    };
    const bool same = op.padding != Pair{0, 0} && keeps_size(0) && keeps_size(1);
    if (!same) zero_padding(op.padding, op.padding);
    const std::int64_t channels = x.shape[1];
    const bool depthwise = op.groups > 1 && op.groups == channels;
    const auto bias = bias_of(operation);
    Json config{{"kernel_size", pair(kernel)}, {"strides", pair(op.stride)}, {"padding", same ? "same" : "valid"},
                {"dilation_rate", pair(op.dilation)}, {"activation", op.relu ? "relu" : "linear"}, {"use_bias", bias.has_value()}};
    std::vector<Value> weights;
    if (depthwise) {
      // Channels that come of one stand beside each other in both.
      const std::int64_t multiplier = weight.shape[0] / channels;
      config["depth_multiplier"] = multiplier;
      Value parted = weight;
      parted.shape = {channels, multiplier, kernel[0], kernel[1]};
      weights.push_back(permuted(parted, {2, 3, 0, 1}));
    } else {
      config["filters"] = weight.shape[0];
      config["groups"] = op.groups;
      weights.push_back(permuted(weight, {2, 3, 1, 0}));
    }
    if (bias) weights.push_back(*bias);
    layer(depthwise ? "DepthwiseConv2D" : "Conv2D", std::move(config), std::move(weights), name_of_layer(weight));
  }

  void linear(const Linear& op, const Operation& operation, const Value& x) {
    if (is_image(x)) throw NotInKeras{"is over the columns of an image"};
    const Value& weight = graph_.input_of(operation, 1);
    const auto bias = bias_of(operation);
    std::vector<Value> weights{permuted(weight, {1, 0})};
    if (bias) weights.push_back(*bias);
    layer("Dense", {{"units", weight.shape[0]}, {"activation", op.relu ? "relu" : "linear"}, {"use_bias", bias.has_value()}},
          std::move(weights), name_of_layer(weight));
  }

  void elementwise(const Elementwise& op) {
    using Function = Elementwise::Function;
    switch (op.function) {
      case Function::relu: return layer("ReLU", Json::object());
      case Function::relu6: return layer("ReLU", {{"max_value", 6.0}});
      case Function::leaky_relu: return layer("LeakyReLU", {{"negative_slope", op.first}});
      case Function::elu: return layer("ELU", {{"alpha", op.first}});
      case Function::gelu: return layer("Activation", {{"activation", "gelu"}});
      case Function::sigmoid: return layer("Activation", {{"activation", "sigmoid"}});
      case Function::tanh: return layer("Activation", {{"activation", "tanh"}});
      case Function::exp: return layer("Activation", {{"activation", "exponential"}});
      case Function::hard_swish: return layer("Activation", {{"activation", "hard_silu"}});
      default: throw NotInKeras{"has no layer"};
    }
  }

  // A number, or one for each channel.
  static Json per_channel(const Value& constant, const Value& x, double factor) {
    const std::vector<float> numbers = floats_in(constant);
    if (numbers.size() == 1) return factor * numbers.front();
    const std::size_t channel = is_image(x) ? 1 : x.shape.size() - 1;
    const auto rank = constant.shape.size();
    for (std::size_t i = 0; i < rank; ++i) {
      const bool of_channels = i + x.shape.size() == channel + rank;
      if (constant.shape[i] != 1 && !of_channels) throw NotInKeras{"takes a constant that is other from place to place"};
    }
    Json list = Json::array();
    for (const float number : numbers) list.push_back(factor * number);
    return list;
  }

  void arithmetic(const Arithmetic& op, const Operation& operation) {
    const bool constant_first = graph_.input_of(operation, 0).data.has_value();
    const Value& constant = graph_.input_of(operation, constant_first ? 0 : 1);
    const Value& x = graph_.input_of(operation, constant_first ? 1 : 0);
    using Function = Arithmetic::Function;
    const auto of = [&](double factor) { return per_channel(constant, x, factor); };
    Json scale = 1.0;
    Json offset = 0.0;
    switch (op.function) {
      case Function::add: offset = of(1.0); break;
      case Function::subtract:
        if (constant_first) scale = -1.0;
        offset = of(constant_first ? 1.0 : -1.0);
        break;
      case Function::multiply: scale = of(1.0); break;
      default: throw NotInKeras{"has no layer"};
    }
    layer("Rescaling", {{"scale", std::move(scale)}, {"offset", std::move(offset)}});
    if (op.relu) layer("ReLU", Json::object());
  }

  void softmax(const Softmax& op, const Value& x) {
    const auto rank = static_cast<std::int64_t>(x.shape.size());
    const std::int64_t channel = is_image(x) ? 1 : rank - 1;
    if (op.axis != channel) throw NotInKeras{"is along another axis than that of the channels"};
    if (op.logarithm) return layer("Activation", {{"activation", "log_softmax"}});
    layer("Softmax", {{"axis", -1}});
  }

  void pool(const Pool& op) {
    const bool padded = op.padding != Pair{0, 0};
    if (padded && (op.largest || !op.counts_padding)) throw NotInKeras{"pads by other numbers than zero"};
    zero_padding(op.padding, op.padding);
    layer(op.largest ? "MaxPooling2D" : "AveragePooling2D",
          {{"pool_size", pair(op.kernel)}, {"strides", pair(op.stride)}, {"padding", "valid"}});
  }

  void reduce(const Reduce& op, const Value& x, const Value& output) {
    if (!op.mean || !is_image(x) || op.axes != std::vector<std::int64_t>{2, 3}) throw NotInKeras{"is not of whole images"};
    layer("GlobalAveragePooling2D", {{"keepdims", output.shape.size() == image_rank}});
  }

  void pad(const Pad& op, const Value& x) {
    if (op.reflects || op.value != 0.0 || !is_image(x) || op.before[0] + op.before[1] + op.after[0] + op.after[1] != 0) {
      throw NotInKeras{"is by other values than zero, or of other axes than those of images"};
    }
    zero_padding({op.before[2], op.before[3]}, {op.after[2], op.after[3]});
  }

  void reshape(const Value& x, const Value& output) {
    if (x.shape == output.shape) return;
    if (x.shape.front() != output.shape.front()) throw NotInKeras{"mixes rows of a batch"};
    if (is_image(x)) {
      // Values stay in their order, in which channels come first.
      if (!has_one_cell(x) && x.shape[1] != 1) layer("Permute", {{"dims", Json::array({3, 1, 2})}});
      if (output.shape.size() == 2) return layer("Flatten", Json::object());
    }
    Json target = Json::array();
    for (std::size_t i = 1; i < output.shape.size(); ++i) target.push_back(output.shape[i]);
    layer("Reshape", {{"target_shape", std::move(target)}});
    if (is_image(output)) layer("Permute", {{"dims", Json::array({2, 3, 1})}});
  }

  const Graph& graph_;
  std::vector<KerasLayer> layers_;
  std::set<std::string> names_;
};

tl::unexpected<Error> no_chain(const std::string& why) {
  return fail(ErrorCode::unsupported, "Keras' Sequential is layers behind each other, and " + why +
                                          ": --part takes a part of the model by itself; .tflite and .onnx take all of it");
}

Status check_values(const Graph& graph) {
  for (const Operation& operation : graph.operations) {
    const Value& answer = graph.output_of(operation);
    if (answer.codes) return fail(ErrorCode::unsupported, "'" + answer.name + "' is in codes, and Keras trains floats: name the float variant");
    if (answer.type != ElementType::float32) {
      return fail(ErrorCode::unsupported, "'" + answer.name + "' is " + std::string(to_string(answer.type)) + "; layers of Keras are written in float32");
    }
  }
  return {};
}

// Each operation takes what the one before gives, and nothing else does.
Status check_chain(const Graph& graph) {
  if (graph.inputs.size() != 1) return no_chain("this takes " + std::to_string(graph.inputs.size()) + " tensors");
  if (graph.outputs.size() != 1) return no_chain("this gives " + std::to_string(graph.outputs.size()) + " tensors (--output chooses)");
  ValueId now = graph.inputs.front();
  for (const Operation& operation : graph.operations) {
    int taken = 0;
    for (const ValueId input : operation.inputs) {
      if (graph.values[input].data) continue;
      ++taken;
      if (input != now) {
        return no_chain("'" + graph.output_of(operation).name + "' (" + name_of(operation.op) + ") reads '" + graph.values[input].name +
                        "' beside '" + graph.values[now].name + "'");
      }
    }
    if (taken != 1) return no_chain("'" + graph.output_of(operation).name + "' (" + name_of(operation.op) + ") joins several");
    now = operation.output;
  }
  if (graph.outputs.front() != now) return no_chain("its last operation is not what it gives");
  return {};
}

}  // namespace

Result<KerasSequential> to_sequential(const Graph& graph) {
  OUTCROP_CHECK(check_values(graph));
  OUTCROP_CHECK(check_chain(graph));
  const Value& input = graph.values[graph.inputs.front()];
  if (input.type != ElementType::float32 || input.shape.size() < 2) {
    return fail(ErrorCode::unsupported, "it takes '" + input.name + "': " + std::string(to_string(input.type)) + " " + describe(input.shape) +
                                            "; rows of float32 are written");
  }
  Layers layers(graph);
  for (const Operation& operation : graph.operations) {
    try {
      layers.add(operation);
    } catch (const NotInKeras& why) {
      return fail(ErrorCode::unsupported, "Keras has no " + name_of(operation.op) + " as '" + graph.output_of(operation).name +
                                              "' needs it: it " + why.what);
    }
  }
  KerasSequential model{input.shape, layers.take()};
  if (is_image(input)) model.input = {input.shape[0], input.shape[2], input.shape[3], input.shape[1]};
  model.input.erase(model.input.begin());
  return model;
}

}  // namespace outcrop::exchange
