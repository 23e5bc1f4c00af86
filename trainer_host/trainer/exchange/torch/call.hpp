#pragma once

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

// What is known of a value of a TorchScript graph while it is walked through with an example.
struct Known {
  c10::IValue value;                // for the example
  std::optional<ValueId> id{};      // of a tensor that depends on the model's inputs
  std::vector<Known> elements{};    // of a list or tuple that holds such tensors
  std::string refused{};            // why there is no saying it in a graph; else ""
  std::string path{};               // of an attribute: "features.0.weight"

  [[nodiscard]] bool depends() const;
  [[nodiscard]] std::string why_refused() const;  // its own reason, or an element's
};

// Why an operator, as it is called here, cannot be expressed.
class NotExpressible : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One call of an operator, of which at least one argument depends on the model's inputs, on its way into the graph.
class Call {
 public:
  Call(Graph& graph, const torch::jit::Node& node, std::vector<Known> arguments, c10::IValue answer)
      : graph_(graph), node_(node), arguments_(std::move(arguments)), answer_(std::move(answer)) {}

  [[nodiscard]] std::size_t size() const { return arguments_.size(); }
  [[nodiscard]] const Known& argument(std::size_t at) const { return arguments_.at(at); }
  [[nodiscard]] bool depends(std::size_t at) const { return argument(at).depends(); }
  [[nodiscard]] bool is_none(std::size_t at) const { return argument(at).value.isNone(); }
  [[nodiscard]] const torch::jit::Node& node() const { return node_; }

  // Arguments that must not depend on the model's inputs.
  [[nodiscard]] std::int64_t integer(std::size_t at) const;
  [[nodiscard]] double number(std::size_t at) const;
  [[nodiscard]] bool flag(std::size_t at) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::size_t at) const;
  [[nodiscard]] Pair pair(std::size_t at) const;  // of one number for both, or of two
  [[nodiscard]] torch::Tensor constant(std::size_t at) const;
  [[nodiscard]] std::optional<torch::Tensor> optional_constant(std::size_t at) const;

  // For the example.
  [[nodiscard]] torch::Tensor tensor(std::size_t at) const;
  [[nodiscard]] torch::Tensor answer() const { return answer_.toTensor(); }
  [[nodiscard]] const c10::IValue& answers() const { return answer_; }
  [[nodiscard]] std::int64_t rank(std::size_t at) const { return tensor(at).dim(); }
  [[nodiscard]] std::int64_t axis(std::size_t at, std::int64_t rank) const;  // counted from 0

  // The value of an argument; a constant or a number comes into the graph.
  ValueId input(std::size_t at);
  ValueId constant_value(const torch::Tensor& tensor, const std::string& name);
  ValueId scalar(double value);

  // An operation whose output is as the example's answer is, as `like` is, or float32 of that shape.
  ValueId emit(Operator op, std::vector<ValueId> inputs);
  ValueId emit_like(const torch::Tensor& like, Operator op, std::vector<ValueId> inputs);
  ValueId emit_float(Shape shape, Operator op, std::vector<ValueId> inputs);
  [[nodiscard]] Graph& graph() { return graph_; }

 private:
  Graph& graph_;
  const torch::jit::Node& node_;
  std::vector<Known> arguments_;
  c10::IValue answer_;
};

// What the call answers is that value.
[[nodiscard]] Known answered(const Call& call, ValueId id);

// Type, shape and codes of a tensor. Throws NotExpressible for types that no format here has.
[[nodiscard]] Value value_of(const torch::Tensor& tensor, std::string name);
[[nodiscard]] Value constant_of(const torch::Tensor& tensor, std::string name);

}  // namespace outcrop::exchange
