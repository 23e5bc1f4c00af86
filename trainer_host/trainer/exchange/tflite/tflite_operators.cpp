#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "trainer_host/trainer/exchange/tflite/tflite_model.hpp"

namespace outcrop::exchange {
namespace {

using tflite::Activation;
using tflite::BuiltinOperator;
using tflite::Padding;

constexpr double beyond_floats = 1e38;
constexpr std::int64_t worth_int8 = 1024;  // weights: fewer stay float

// What one axis of a window needs.
struct Window {
  std::int64_t in;
  std::int64_t out;
  std::int64_t kernel;  // dilated
  std::int64_t stride;
  std::int64_t padding;
};

// Whether TensorFlow's "SAME" puts windows where this padding puts them.
bool is_same_padding(const Window& window) {
  if (window.out != (window.in + window.stride - 1) / window.stride) return false;
  const std::int64_t total = std::max<std::int64_t>((window.out - 1) * window.stride + window.kernel - window.in, 0);
  return total / 2 == window.padding;
}

// The same of a transposed convolution, whose "input" is its output.
bool is_same_transposed(const Window& window) {
  if (window.out != window.in * window.stride) return false;
  const std::int64_t total = std::max<std::int64_t>((window.in - 1) * window.stride + window.kernel - window.out, 0);
  return total / 2 == window.padding;
}

int code_of(double value, const Codes& codes) {
  const double code = std::nearbyint(value / codes.scales.at(0)) + static_cast<double>(codes.zero_points.at(0));
  return static_cast<int>(std::clamp(code, -128.0, 127.0));
}

// Codes around zero, a scale for each index of `axis`.
Value in_int8(const Value& weight, std::int64_t axis) {
  const std::vector<float> values = floats_in(weight);
  const auto channels = static_cast<std::size_t>(weight.shape[static_cast<std::size_t>(axis)]);
  std::size_t inner = 1;
  for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < weight.shape.size(); ++i) {
    inner *= static_cast<std::size_t>(weight.shape[i]);
  }
  const auto channel_of = [&](std::size_t at) { return at / inner % channels; };
  std::vector<float> largest(channels, 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) largest[channel_of(i)] = std::max(largest[channel_of(i)], std::abs(values[i]));
  Value result{weight.name, ElementType::int8, weight.shape, Codes{{}, std::vector<std::int64_t>(channels, 0), axis}, Bytes(values.size())};
  for (const float one : largest) result.codes->scales.push_back(one > 0.0F ? one / 127.0F : 1.0F);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float code = std::clamp(std::nearbyint(values[i] / result.codes->scales[channel_of(i)]), -127.0F, 127.0F);
    (*result.data)[i] = static_cast<std::byte>(static_cast<std::int8_t>(code));
  }
  return result;
}

class OperationWriter {
 public:
  OperationWriter(const Graph& graph, TfliteModel& model, TfliteLayout& layout, const Operation& operation, bool weights_in_int8)
      : graph_(graph), model_(model), layout_(layout), operation_(operation), weights_in_int8_(weights_in_int8) {}

  void operator()(const Convolution& op) {
    if (op.transposed) return transposed_convolution(op);
    const Value& weight = input(1);
    const bool by_channel = op.groups > 1 && op.groups == input(0).shape[1];
    Padding padding = Padding::SAME;
    const int x = padded_image(op, {weight.shape[2], weight.shape[3]}, 0.0, padding);
    const int y = layout_.answer(operation_.output, true);
    const Activation activation = op.relu ? Activation::RELU : Activation::NONE;
    if (by_channel) {
      const Value filter = stored(permuted(weight, {1, 2, 3, 0}), 3);
      tflite::DepthwiseConv2DOptionsT options;
      options.padding = padding;
      set_strides(options, op.stride);
      options.depth_multiplier = static_cast<int>(weight.shape[0] / op.groups);
      options.activation = activation;
      options.dilation_h = static_cast<int>(op.dilation[0]);
      options.dilation_w = static_cast<int>(op.dilation[1]);
      model_.add(BuiltinOperator::DEPTHWISE_CONV_2D, version_of_layer(filter, 2, 3, 6), {x, model_.tensor(filter), bias(weight)}, y,
                 options);
      return;
    }
    const Value filter = stored(permuted(weight, to_channels_last), 0);
    tflite::Conv2DOptionsT options;
    options.padding = padding;
    set_strides(options, op.stride);
    options.activation = activation;
    options.dilation_h = static_cast<int>(op.dilation[0]);
    options.dilation_w = static_cast<int>(op.dilation[1]);
    model_.add(BuiltinOperator::CONV_2D, version_of_layer(filter, 1, 3, 5), {x, model_.tensor(filter), bias(weight)}, y, options);
  }

  void operator()(const Linear& op) {
    const Value filter = stored(input(1), 0);
    tflite::FullyConnectedOptionsT options;
    options.activation = op.relu ? Activation::RELU : Activation::NONE;
    options.keep_num_dims = output().shape.size() != 2;
    options.asymmetric_quantize_inputs = filter.codes && !input(0).codes;
    const int x = layout_.plain(operation_.inputs[0]);
    model_.add(BuiltinOperator::FULLY_CONNECTED, version_of_layer(filter, options.keep_num_dims ? 5 : 1, options.keep_num_dims ? 5 : 4, 12),
               {x, model_.tensor(filter), bias(input(1))}, layout_.answer(operation_.output, false), options);
  }

  void operator()(const MatrixProduct&) {
    model_.add(BuiltinOperator::BATCH_MATMUL, 1, {plain(0), plain(1)}, layout_.answer(operation_.output, false),
               tflite::BatchMatMulOptionsT());
  }

  void operator()(const Elementwise& op) {
    using Function = Elementwise::Function;
    switch (op.function) {
      case Function::relu: return unary(BuiltinOperator::RELU);
      case Function::relu6: return unary(BuiltinOperator::RELU6);
      case Function::clamp: return clamp(op.first, op.second);
      case Function::leaky_relu: {
        tflite::LeakyReluOptionsT options;
        options.alpha = static_cast<float>(op.first);
        return unary_with(BuiltinOperator::LEAKY_RELU, options);
      }
      case Function::elu: return unary(BuiltinOperator::ELU);
      case Function::gelu: return unary_with(BuiltinOperator::GELU, tflite::GeluOptionsT());
      case Function::sigmoid: return unary(BuiltinOperator::LOGISTIC);
      case Function::tanh: return unary(BuiltinOperator::TANH);
      case Function::hard_swish: return unary(BuiltinOperator::HARD_SWISH);
      case Function::exp: return unary(BuiltinOperator::EXP);
      case Function::log: return unary(BuiltinOperator::LOG);
      case Function::sqrt: return unary(BuiltinOperator::SQRT);
      case Function::negate: return unary(BuiltinOperator::NEG);
      case Function::absolute: return unary(BuiltinOperator::ABS);
      case Function::sign: return unary(BuiltinOperator::SIGN);
    }
  }

  void operator()(const Arithmetic& op) {
    using Function = Arithmetic::Function;
    const bool last = broadcasts_in_last();
    const std::vector<int> inputs{layout_.as(operation_.inputs[0], last), layout_.as(operation_.inputs[1], last)};
    const int y = layout_.answer(operation_.output, last);
    const Activation activation = op.relu ? Activation::RELU : Activation::NONE;
    const int version = version_of_value();
    const auto add = [&](BuiltinOperator type, auto options) {
      options.activation = activation;
      model_.add(type, version, inputs, y, options);
    };
    switch (op.function) {
      case Function::add: return add(BuiltinOperator::ADD, tflite::AddOptionsT());
      case Function::subtract: return add(BuiltinOperator::SUB, tflite::SubOptionsT());
      case Function::multiply: return add(BuiltinOperator::MUL, tflite::MulOptionsT());
      case Function::divide: return add(BuiltinOperator::DIV, tflite::DivOptionsT());
      case Function::largest: return model_.add(BuiltinOperator::MAXIMUM, version, inputs, y);
      case Function::least: return model_.add(BuiltinOperator::MINIMUM, version, inputs, y);
    }
  }

  void operator()(const Softmax& op) {
    const auto rank = static_cast<std::int64_t>(input(0).shape.size());
    const BuiltinOperator type = op.logarithm ? BuiltinOperator::LOG_SOFTMAX : BuiltinOperator::SOFTMAX;
    const auto apply = [&](int x, int y) {
      tflite::SoftmaxOptionsT options;
      options.beta = 1.0F;
      if (op.logarithm) return model_.add(type, 1, {x}, y);
      model_.add(type, 1, {x}, y, options);
    };
    if (rank == 4 && op.axis == 1) {
      const int x = layout_.last(operation_.inputs[0]);
      return apply(x, layout_.answer(operation_.output, true));
    }
    if (op.axis != rank - 1) throw NotInTflite("runs along an axis that is neither the last one nor channels");
    const int x = layout_.plain(operation_.inputs[0]);
    apply(x, layout_.answer(operation_.output, false));
  }

  void operator()(const Pool& op) {
    const bool pads = op.padding != Pair{0, 0};
    const double lowest = input(0).codes ? meaning_of_lowest() : std::numeric_limits<float>::lowest();
    Padding padding = Padding::VALID;
    Convolution window;
    window.stride = op.stride;
    window.padding = op.padding;
    if (pads && !op.largest && !op.counts_padding) throw NotInTflite("pads, and does not count what it pads");
    const int x = padded_image(window, op.kernel, op.largest ? lowest : 0.0, padding, /*same_is_alike=*/op.largest);
    if (!op.largest && input(0).codes) return mean_of_codes(op, x);
    tflite::Pool2DOptionsT options;
    options.padding = padding;
    set_strides(options, op.stride);
    options.filter_height = static_cast<int>(op.kernel[0]);
    options.filter_width = static_cast<int>(op.kernel[1]);
    model_.add(op.largest ? BuiltinOperator::MAX_POOL_2D : BuiltinOperator::AVERAGE_POOL_2D, version_of_value(), {x},
               layout_.answer(operation_.output, true), options);
  }

  void operator()(const Reduce& op) {
    tflite::ReducerOptionsT options;
    options.keep_dims = op.keeps_axes;
    const bool last = layout_.is_last(operation_.inputs[0]) && (op.keeps_axes || keeps_order_in_last(op.axes));
    std::vector<std::int64_t> axes = op.axes;
    if (last) std::transform(axes.begin(), axes.end(), axes.begin(), axis_in_last);
    const int x = layout_.as(operation_.inputs[0], last);
    model_.add(op.mean ? BuiltinOperator::MEAN : BuiltinOperator::SUM, version_of_value(), {x, model_.integers(axes)},
               layout_.answer(operation_.output, last && op.keeps_axes), options);
  }

  void operator()(const Resize& op) {
    const int x = layout_.last(operation_.inputs[0]);
    const int size = model_.integers({output().shape[2], output().shape[3]});
    const int y = layout_.answer(operation_.output, true);
    if (op.linear) {
      tflite::ResizeBilinearOptionsT options;
      options.align_corners = op.align_corners;
      options.half_pixel_centers = !op.align_corners;
      model_.add(BuiltinOperator::RESIZE_BILINEAR, 3, {x, size}, y, options);
    } else {
      model_.add(BuiltinOperator::RESIZE_NEAREST_NEIGHBOR, version_of_value(), {x, size}, y, tflite::ResizeNearestNeighborOptionsT());
    }
  }

  void operator()(const Pad& op) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    const int x = layout_.as(operation_.inputs[0], last);
    const int sides = sides_of(last ? in_last(op.before) : op.before, last ? in_last(op.after) : op.after);
    const int y = layout_.answer(operation_.output, last);
    if (op.reflects) return model_.add(BuiltinOperator::MIRROR_PAD, version_of_value(), {x, sides}, y, tflite::MirrorPadOptionsT());
    pad(x, sides, y, op.value);
  }

  void operator()(const Concatenate& op) {
    const bool image = output().shape.size() == 4;
    const bool last = image && std::any_of(operation_.inputs.begin(), operation_.inputs.end(),
                                           [&](ValueId id) { return layout_.is_last(id); });
    std::vector<int> inputs;
    for (const ValueId id : operation_.inputs) inputs.push_back(in_codes_of_output(graph_.values[id], layout_.as(id, last)));
    tflite::ConcatenationOptionsT options;
    options.axis = static_cast<int>(last ? axis_in_last(op.axis) : op.axis);
    model_.add(BuiltinOperator::CONCATENATION, version_of_value(), inputs, layout_.answer(operation_.output, last), options);
  }

  void operator()(const Reshape&) {
    const int x = plain(0);
    tflite::ReshapeOptionsT options;
    options.new_shape.assign(output().shape.begin(), output().shape.end());
    model_.add(BuiltinOperator::RESHAPE, 1, {x, model_.integers(output().shape)}, layout_.answer(operation_.output, false), options);
  }

  void operator()(const Transpose& op) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    std::vector<std::int64_t> order = op.order;
    if (last) std::transform(order.begin(), order.end(), order.begin(), axis_in_last);
    const int x = layout_.as(operation_.inputs[0], last);
    const bool is_output = std::find(graph_.outputs.begin(), graph_.outputs.end(), operation_.output) != graph_.outputs.end();
    if (std::is_sorted(order.begin(), order.end()) && !is_output) return layout_.is_the_same(operation_.output, x);
    model_.add(BuiltinOperator::TRANSPOSE, version_of_value(), {x, model_.integers(order)}, layout_.answer(operation_.output, false));
  }

  void operator()(const Slice& op) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    const int x = layout_.as(operation_.inputs[0], last);
    const int begin = model_.integers(last ? in_last(op.begin) : op.begin);
    const int size = model_.integers(last ? in_last(output().shape) : output().shape);
    model_.add(BuiltinOperator::SLICE, version_of_value(), {x, begin, size}, layout_.answer(operation_.output, last));
  }

  void operator()(const Gather& op) {
    tflite::GatherOptionsT options;
    options.axis = static_cast<int>(op.axis);
    model_.add(BuiltinOperator::GATHER, version_of_value(), {plain(0), plain(1)}, layout_.answer(operation_.output, false), options);
  }

  void operator()(const Convert&) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    const int x = layout_.as(operation_.inputs[0], last);
    const int y = layout_.answer(operation_.output, last);
    if (output().codes) return model_.add(BuiltinOperator::QUANTIZE, input(0).codes ? 2 : 1, {x}, y);
    if (input(0).codes) return model_.add(BuiltinOperator::DEQUANTIZE, 2, {x}, y);
    tflite::CastOptionsT options;
    options.from = model_.at(x).type;
    options.to = model_.at(y).type;
    model_.add(BuiltinOperator::CAST, 1, {x}, y, options);
  }

 private:
  [[nodiscard]] const Value& input(std::size_t at) const { return graph_.input_of(operation_, at); }
  [[nodiscard]] const Value& output() const { return graph_.output_of(operation_); }
  int plain(std::size_t at) { return layout_.plain(operation_.inputs[at]); }

  // Of most operators the second version is the one that knows int8.
  [[nodiscard]] int version_of_value() const { return input(0).codes ? 2 : 1; }
  [[nodiscard]] int version_of_layer(const Value& filter, int floats, int codes, int hybrid) const {
    if (input(0).codes) return codes;
    return filter.type == ElementType::int8 ? hybrid : floats;
  }

  template <class Options>
  static void set_strides(Options& options, const Pair& stride) {
    options.stride_h = static_cast<int>(stride[0]);
    options.stride_w = static_cast<int>(stride[1]);
  }

  // Weights as the file has them.
  [[nodiscard]] Value stored(Value weight, std::int64_t axis) const {
    if (!weight.data) throw NotInTflite("has weights that are computed");
    const bool worth = weights_in_int8_ && weight.type == ElementType::float32 && elements_of(weight.shape) >= worth_int8;
    return worth ? in_int8(weight, axis) : weight;
  }

  // By a convolution of each channel with equal weights: that rounds halves to even, as LibTorch does, and the format's pool away
  // from zero.
  void mean_of_codes(const Pool& op, int x) {
    const std::int64_t channels = output().shape[1];
    const Shape shape{1, op.kernel[0], op.kernel[1], channels};
    const float share = 1.0F / static_cast<float>(op.kernel[0] * op.kernel[1]);
    const Value weight{output().name + ".weight", ElementType::int8, shape, Codes{{share}, {0}, 0},
                       Bytes(static_cast<std::size_t>(elements_of(shape)), std::byte{1})};
    const Value zeros{output().name + ".bias", ElementType::float32, {channels}, {},
                      bytes_of(std::vector<float>(static_cast<std::size_t>(channels), 0.0F))};
    tflite::DepthwiseConv2DOptionsT options;
    options.padding = Padding::VALID;
    set_strides(options, op.stride);
    options.depth_multiplier = 1;
    model_.add(BuiltinOperator::DEPTHWISE_CONV_2D, 3,
               {x, model_.tensor(weight), model_.tensor(bias_in_codes(zeros, input(0), weight))},
               layout_.answer(operation_.output, true), options);
  }

  // The same values in the output's codes. By way of floats, which round as LibTorch does.
  int in_codes_of_output(const Value& value, int tensor) {
    if (!value.codes || *value.codes == *output().codes) return tensor;
    const std::string name = value.name + ".for." + output().name;
    Value meaning{name + ".value", ElementType::float32, {}};
    for (const int size : model_.at(tensor).shape) meaning.shape.push_back(size);
    const int floats = model_.tensor(meaning);
    model_.add(BuiltinOperator::DEQUANTIZE, 2, {tensor}, floats);
    const int codes = model_.tensor({name, output().type, meaning.shape, output().codes, {}});
    model_.add(BuiltinOperator::QUANTIZE, 1, {floats}, codes);
    return codes;
  }

  // Always there: some kernels want one.
  int bias(const Value& weight) {
    const bool codes = input(0).codes && weight.codes;
    if (input(0).codes && !weight.codes) throw NotInTflite("has float weights for codes");
    const std::int64_t channels = output().shape[output().shape.size() == 4 && !std::holds_alternative<Linear>(operation_.op) ? 1 : output().shape.size() - 1];
    Value value{output().name + ".bias", ElementType::float32, {channels}, {},
                bytes_of(std::vector<float>(static_cast<std::size_t>(channels), 0.0F))};
    if (operation_.inputs.size() > 2) value = input(2);
    return model_.tensor(codes ? bias_in_codes(value, input(0), weight) : value);
  }

  // A number for each axis: before and behind.
  int sides_of(const std::vector<std::int64_t>& before, const std::vector<std::int64_t>& after) {
    std::vector<std::int32_t> sides;
    for (std::size_t i = 0; i < before.size(); ++i) {
      sides.push_back(static_cast<std::int32_t>(before[i]));
      sides.push_back(static_cast<std::int32_t>(after[i]));
    }
    return model_.tensor({output().name + ".padding", ElementType::int32, {static_cast<std::int64_t>(before.size()), 2}, {}, bytes_of(sides)});
  }

  void pad(int x, int sides, int y, double value) {
    const auto& codes = input(0).codes;
    const int version = version_of_value();
    const bool zero = codes ? code_of(value, *codes) == codes->zero_points[0] : value == 0.0;
    if (zero) return model_.add(BuiltinOperator::PAD, version, {x, sides}, y);
    model_.add(BuiltinOperator::PADV2, version, {x, sides, like_input(value, ".value")}, y);
  }

  // A number of the input's type.
  int like_input(double value, const char* suffix) {
    Value constant{output().name + suffix, input(0).type, {1}, input(0).codes, {}};
    if (constant.codes) {
      constant.data = Bytes{static_cast<std::byte>(code_of(value, *constant.codes))};
    } else {
      constant.data = bytes_of(std::vector<float>{static_cast<float>(value)});
    }
    return model_.tensor(constant);
  }

  [[nodiscard]] double meaning_of_lowest() const {
    const Codes& codes = *input(0).codes;
    return codes.scales[0] * (-128.0 - static_cast<double>(codes.zero_points[0]));
  }

  // The input channels last, with what its windows need around it where the format's own words for padding do not say that.
  int padded_image(const Convolution& op, const Pair& kernel, double value, Padding& padding, bool same_is_alike = true) {
    const int x = layout_.last(operation_.inputs[0]);
    padding = Padding::VALID;
    if (op.padding == Pair{0, 0}) return x;
    bool same = same_is_alike;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::int64_t dilated = op.dilation[i] * (kernel[i] - 1) + 1;
      same = same && is_same_padding({input(0).shape[i + 2], output().shape[i + 2], dilated, op.stride[i], op.padding[i]});
    }
    if (same) {
      padding = Padding::SAME;
      return x;
    }
    const std::vector<std::int64_t> around{0, op.padding[0], op.padding[1], 0};
    Value wider = input(0);
    wider.name = output().name + ".padded";
    wider.shape = in_last(wider.shape);
    for (std::size_t i = 0; i < around.size(); ++i) wider.shape[i] += 2 * around[i];
    const int y = model_.tensor(wider);
    pad(x, sides_of(around, around), y, value);
    return y;
  }

  void transposed_convolution(const Convolution& op) {
    const Value& weight = input(1);
    if (op.groups != 1) throw NotInTflite("is in groups");
    if (op.dilation != Pair{1, 1}) throw NotInTflite("is dilated");
    const int x = layout_.last(operation_.inputs[0]);
    const int filter = transposed_filter(stored(permuted(weight, {1, 2, 3, 0}), 0));
    bool same = true;
    Shape whole = in_last(output().shape);  // what the windows cover
    for (std::size_t i = 0; i < 2; ++i) {
      const Window window{input(0).shape[i + 2], output().shape[i + 2], weight.shape[i + 2], op.stride[i], op.padding[i]};
      same = same && is_same_transposed(window);
      whole[i + 1] = (window.in - 1) * window.stride + window.kernel;
    }
    tflite::TransposeConvOptionsT options;
    options.padding = same ? Padding::SAME : Padding::VALID;
    set_strides(options, op.stride);
    const Shape own = in_last(output().shape);
    const auto write = [&](const Shape& shape, int y) {
      model_.add(BuiltinOperator::TRANSPOSE_CONV, 3, {model_.integers(shape), filter, x, bias(weight)}, y, options);
    };
    const bool cut = !same && whole != own;
    if (!cut && !op.relu) return write(own, layout_.answer(operation_.output, true));
    Value before = output();
    before.name += ".whole";
    before.shape = cut ? whole : own;
    int made = model_.tensor(before);
    write(before.shape, made);
    const int y = layout_.answer(operation_.output, true);
    if (cut) {
      for (std::size_t i = 1; i < 3; ++i) {
        if (op.padding[i - 1] + own[i] > whole[i]) throw NotInTflite("adds more behind (output_padding) than it cuts (padding)");
      }
      model_.add(BuiltinOperator::SLICE, version_of_value(),
                 {made, model_.integers({0, op.padding[0], op.padding[1], 0}), model_.integers(own)}, y);
      if (op.relu) throw NotInTflite("is cut before its relu");
      return;
    }
    model_.add(BuiltinOperator::RELU, version_of_value(), {made}, y);
  }

  // There is no kernel for float inputs and int8 weights: these are made float as the model is loaded.
  int transposed_filter(const Value& filter) {
    const int codes = model_.tensor(filter);
    if (!filter.codes || input(0).codes) return codes;
    Value floats = filter;
    floats.name += ".float";
    floats.type = ElementType::float32;
    floats.codes.reset();
    floats.data.reset();
    const int made = model_.tensor(floats);
    model_.add(BuiltinOperator::DEQUANTIZE, 2, {codes}, made);
    return made;
  }

  void unary(BuiltinOperator type) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    const int x = layout_.as(operation_.inputs[0], last);
    model_.add(type, version_of_value(), {x}, layout_.answer(operation_.output, last));
  }

  template <class Options>
  void unary_with(BuiltinOperator type, Options options) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    const int x = layout_.as(operation_.inputs[0], last);
    model_.add(type, version_of_value(), {x}, layout_.answer(operation_.output, last), std::move(options));
  }

  void clamp(double low, double high) {
    const bool last = layout_.is_last(operation_.inputs[0]);
    int x = layout_.as(operation_.inputs[0], last);
    if (low > -beyond_floats && high < beyond_floats) {
      Value between = output();
      between.name += ".from";
      if (last) between.shape = in_last(between.shape);
      const int made = model_.tensor(between);
      model_.add(BuiltinOperator::MAXIMUM, version_of_value(), {x, like_input(low, ".least")}, made);
      x = made;
    } else if (low > -beyond_floats) {
      const int least = like_input(low, ".least");
      return model_.add(BuiltinOperator::MAXIMUM, version_of_value(), {x, least}, layout_.answer(operation_.output, last));
    }
    const int most = like_input(high, ".most");
    model_.add(BuiltinOperator::MINIMUM, version_of_value(), {x, most}, layout_.answer(operation_.output, last));
  }

  // Two that broadcast can be channels last where both have four axes, or one is a constant.
  [[nodiscard]] bool broadcasts_in_last() const {
    bool last = false;
    for (const ValueId id : operation_.inputs) last = last || layout_.is_last(id);
    if (!last || output().shape.size() != 4) return false;
    return std::all_of(operation_.inputs.begin(), operation_.inputs.end(),
                       [&](ValueId id) { return graph_.values[id].shape.size() == 4 || graph_.values[id].data; });
  }

  // What is left of [N, C, H, W] is then in the same order.
  [[nodiscard]] static bool keeps_order_in_last(const std::vector<std::int64_t>& reduced) {
    const auto is_gone = [&](std::int64_t axis) { return std::find(reduced.begin(), reduced.end(), axis) != reduced.end(); };
    return is_gone(1) || (is_gone(2) && is_gone(3));
  }

  const Graph& graph_;
  TfliteModel& model_;
  TfliteLayout& layout_;
  const Operation& operation_;
  bool weights_in_int8_;
};

}  // namespace

void write_tflite_operation(const Graph& graph, TfliteModel& model, TfliteLayout& layout, const Operation& operation,
                            bool weights_in_int8) {
  std::visit(OperationWriter(graph, model, layout, operation, weights_in_int8), operation.op);
}

}  // namespace outcrop::exchange
