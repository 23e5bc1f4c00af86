#include <limits>
#include <numeric>

#include "trainer_host/trainer/exchange/onnx/onnx_model.hpp"

namespace outcrop::exchange {
namespace {

std::vector<std::int64_t> listed(const Pair& pair) { return {pair[0], pair[1]}; }
std::vector<std::int64_t> all_sides(const Pair& pair) { return {pair[0], pair[1], pair[0], pair[1]}; }

// Writes one operation, whose answer is a float tensor of the name `output_`, or a constant's own type.
class NodeWriter {
 public:
  NodeWriter(OnnxModel& model, const Operation& operation, std::string output)
      : model_(model), operation_(operation), output_(std::move(output)) {}

  void operator()(const Convolution& op) {
    const Value& weight = input(1);
    const std::string result = op.relu ? model_.fresh("t") : output_;
    auto& node = model_.node(op.transposed ? "ConvTranspose" : "Conv", with_bias({read(0), read(1)}), result);
    set_integers(node, "kernel_shape", {weight.shape[2], weight.shape[3]});
    set_integers(node, "strides", listed(op.stride));
    set_integers(node, "pads", all_sides(op.padding));
    set_integers(node, "dilations", listed(op.dilation));
    set_integer(node, "group", op.groups);
    if (op.transposed) set_integers(node, "output_padding", listed(op.output_padding));
    if (op.relu) model_.node("Relu", {result}, output_);
  }

  void operator()(const Linear& op) {
    const std::string result = op.relu ? model_.fresh("t") : output_;
    if (input(0).shape.size() == 2) {
      set_integer(model_.node("Gemm", with_bias({read(0), read(1)}), result), "transB", 1);
    } else {
      const std::string weight = model_.read(turned(input(1)));
      if (operation_.inputs.size() > 2) {
        const std::string product = model_.apply("MatMul", {read(0), weight});
        model_.node("Add", {product, with_bias({}).front()}, result);
      } else {
        model_.node("MatMul", {read(0), weight}, result);
      }
    }
    if (op.relu) model_.node("Relu", {result}, output_);
  }

  void operator()(const MatrixProduct&) { model_.node("MatMul", {read(0), read(1)}, output_); }

  void operator()(const Elementwise& op) {
    using Function = Elementwise::Function;
    switch (op.function) {
      case Function::relu: plain("Relu"); break;
      case Function::relu6: model_.node("Clip", {read(0), model_.number(0.0), model_.number(6.0)}, output_); break;
      case Function::clamp: model_.node("Clip", {read(0), model_.number(op.first), model_.number(op.second)}, output_); break;
      case Function::leaky_relu: set_number(plain("LeakyRelu"), "alpha", op.first); break;
      case Function::elu: set_number(plain("Elu"), "alpha", op.first); break;
      case Function::gelu: gelu(); break;
      case Function::sigmoid: plain("Sigmoid"); break;
      case Function::tanh: plain("Tanh"); break;
      case Function::hard_swish: hard_swish(); break;
      case Function::exp: plain("Exp"); break;
      case Function::log: plain("Log"); break;
      case Function::sqrt: plain("Sqrt"); break;
      case Function::negate: plain("Neg"); break;
      case Function::absolute: plain("Abs"); break;
      case Function::sign: plain("Sign"); break;
    }
  }

  void operator()(const Arithmetic& op) {
    constexpr std::array<const char*, 6> types{"Add", "Sub", "Mul", "Div", "Max", "Min"};
    const std::string result = op.relu ? model_.fresh("t") : output_;
    model_.node(types.at(static_cast<std::size_t>(op.function)), {read(0), read(1)}, result);
    if (op.relu) model_.node("Relu", {result}, output_);
  }

  void operator()(const Softmax& op) { set_integer(plain(op.logarithm ? "LogSoftmax" : "Softmax"), "axis", op.axis); }

  void operator()(const Pool& op) {
    auto& node = plain(op.largest ? "MaxPool" : "AveragePool");
    set_integers(node, "kernel_shape", listed(op.kernel));
    set_integers(node, "strides", listed(op.stride));
    set_integers(node, "pads", all_sides(op.padding));
    if (!op.largest) set_integer(node, "count_include_pad", op.counts_padding ? 1 : 0);
  }

  void operator()(const Reduce& op) {
    if (op.mean) {
      auto& node = plain("ReduceMean");
      set_integers(node, "axes", op.axes);
      set_integer(node, "keepdims", op.keeps_axes ? 1 : 0);
      return;
    }
    auto& node = model_.node("ReduceSum", {read(0), model_.integers(op.axes)}, output_);
    set_integer(node, "keepdims", op.keeps_axes ? 1 : 0);
  }

  void operator()(const Resize& op) {
    auto& node = model_.node("Resize", {read(0), "", "", model_.integers(output().shape)}, output_);
    set_word(node, "mode", op.linear ? "linear" : "nearest");
    const char* rule = op.align_corners ? "align_corners" : "half_pixel";
    set_word(node, "coordinate_transformation_mode", op.linear ? rule : "asymmetric");
    if (!op.linear) set_word(node, "nearest_mode", "floor");
  }

  void operator()(const Pad& op) {
    std::vector<std::int64_t> sides = op.before;
    sides.insert(sides.end(), op.after.begin(), op.after.end());
    std::vector<std::string> inputs{read(0), model_.integers(sides)};
    if (!op.reflects) inputs.push_back(model_.number(op.value));
    set_word(model_.node("Pad", inputs, output_), "mode", op.reflects ? "reflect" : "constant");
  }

  void operator()(const Concatenate& op) {
    std::vector<std::string> inputs;
    for (std::size_t i = 0; i < operation_.inputs.size(); ++i) inputs.push_back(read(i));
    set_integer(model_.node("Concat", inputs, output_), "axis", op.axis);
  }

  void operator()(const Reshape&) { model_.node("Reshape", {read(0), model_.integers(output().shape)}, output_); }
  void operator()(const Transpose& op) { set_integers(plain("Transpose"), "perm", op.order); }

  void operator()(const Slice& op) {
    std::vector<std::int64_t> end = op.begin;
    for (std::size_t i = 0; i < end.size(); ++i) end[i] += output().shape[i];
    std::vector<std::int64_t> axes(end.size());
    std::iota(axes.begin(), axes.end(), 0);
    model_.node("Slice", {read(0), model_.integers(op.begin), model_.integers(end), model_.integers(axes)}, output_);
  }

  void operator()(const Gather& op) { set_integer(model_.node("Gather", {read(0), read(1)}, output_), "axis", op.axis); }

  void operator()(const Convert&) {
    if (input(0).codes || output().codes) {
      model_.node("Identity", {read(0)}, output_);  // the codes' nodes stand before and behind
    } else {
      set_integer(plain("Cast"), "to", onnx_type(output().type));
    }
  }

 private:
  [[nodiscard]] const Value& input(std::size_t at) const { return model_.graph().input_of(operation_, at); }
  [[nodiscard]] const Value& output() const { return model_.graph().output_of(operation_); }
  std::string read(std::size_t at) { return model_.read(operation_.inputs[at]); }
  onnx::NodeProto& plain(const std::string& type) { return model_.node(type, {read(0)}, output_); }

  // In int8 a bias is what its codes mean.
  std::vector<std::string> with_bias(std::vector<std::string> inputs) {
    if (operation_.inputs.size() < 3) return inputs;
    const bool codes = input(0).codes && input(1).codes;
    inputs.push_back(codes ? model_.read(bias_in_codes(input(2), input(0), input(1))) : read(2));
    return inputs;
  }

  static Value turned(const Value& weight) {
    Value turned = permuted(weight, {1, 0});
    turned.name += ".turned";
    return turned;
  }

  // x/2 · (1 + erf(x/√2))
  void gelu() {
    constexpr double half_root = 0.70710678118654752;
    const std::string x = read(0);
    const std::string error = model_.apply("Erf", {model_.apply("Mul", {x, model_.number(half_root)})});
    const std::string share = model_.apply("Add", {error, model_.number(1.0)});
    model_.node("Mul", {model_.apply("Mul", {x, model_.number(0.5)}), share}, output_);
  }

  // x · (x/6 + 1/2 within 0 and 1): HardSwish itself is of the next operator set
  void hard_swish() {
    const std::string gate = model_.fresh("t");
    auto& node = model_.node("HardSigmoid", {read(0)}, gate);
    set_number(node, "alpha", 1.0 / 6.0);
    set_number(node, "beta", 0.5);
    model_.node("Mul", {read(0), gate}, output_);
  }

  OnnxModel& model_;
  const Operation& operation_;
  std::string output_;
};

}  // namespace

void write_operation(OnnxModel& model, const Operation& operation) {
  const Value& output = model.graph().output_of(operation);
  if (!output.codes) {
    std::visit(NodeWriter(model, operation, output.name), operation.op);
    return;
  }
  const std::string meaning = model.fresh("t");
  std::visit(NodeWriter(model, operation, meaning), operation.op);
  model.quantize(meaning, output);
}

}  // namespace outcrop::exchange
