#pragma once

#include <onnx/onnx_pb.h>

#include <set>
#include <string>
#include <vector>

#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

// An ONNX graph while it is put together from ours.
class OnnxModel {
 public:
  OnnxModel(const Graph& graph, onnx::GraphProto& onnx) : graph_(graph), onnx_(onnx) {}

  [[nodiscard]] const Graph& graph() const { return graph_; }

  // The name of a value as operators read it: a constant becomes an initializer, what is in codes what they mean.
  std::string read(ValueId id);
  std::string read(const Value& constant);  // of the writer's own making
  std::string integers(const std::vector<std::int64_t>& values);
  std::string number(double value);

  // A node that answers one value, of a name of its own where none is given.
  onnx::NodeProto& node(const std::string& type, const std::vector<std::string>& inputs, const std::string& output);
  std::string apply(const std::string& type, const std::vector<std::string>& inputs);
  std::string fresh(const std::string& stem) { return stem + "." + std::to_string(++made_); }

  // What is in codes under the name of `output`, from `meaning`.
  void quantize(const std::string& meaning, const Value& output);
  void dequantize(const Value& value, const std::string& output);

 private:
  std::string initializer(const Value& constant);
  std::vector<std::string> scale_and_zero_point(const Value& value);

  const Graph& graph_;
  onnx::GraphProto& onnx_;
  std::set<std::string> initializers_;
  std::set<std::string> meanings_;
  int made_ = 0;
};

void set_integer(onnx::NodeProto& node, const std::string& name, std::int64_t value);
void set_integers(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values);
void set_number(onnx::NodeProto& node, const std::string& name, double value);
void set_word(onnx::NodeProto& node, const std::string& name, const std::string& value);

[[nodiscard]] int onnx_type(ElementType type);

// All nodes of one operation.
void write_operation(OnnxModel& model, const Operation& operation);

}  // namespace outcrop::exchange
