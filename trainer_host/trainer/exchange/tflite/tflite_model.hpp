#pragma once

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tflite_schema_generated.h"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

// Why the format cannot say an operation.
class NotInTflite : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The file while it is put together: tensors by their number in it.
class TfliteModel {
 public:
  explicit TfliteModel(const std::string& name);

  // A tensor of a value's type and codes, with its data where it is a constant.
  int tensor(const Value& value);
  int integers(const std::vector<std::int64_t>& values);  // int32 [n]
  [[nodiscard]] const tflite::TensorT& at(int tensor) const { return *model_.subgraphs[0]->tensors[static_cast<std::size_t>(tensor)]; }

  void add(tflite::BuiltinOperator op, int version, std::vector<int> inputs, int output);
  template <class Options>
  void add(tflite::BuiltinOperator op, int version, std::vector<int> inputs, int output, Options options) {
    add(op, version, std::move(inputs), output);
    model_.subgraphs[0]->operators.back()->builtin_options.Set(std::move(options));
  }

  void set_ends(const std::vector<std::pair<std::string, int>>& inputs, const std::vector<std::pair<std::string, int>>& outputs);
  // invalid where it is larger than the format reaches.
  [[nodiscard]] std::optional<Bytes> packed() const;

 private:
  unsigned operator_code(tflite::BuiltinOperator op, int version);

  tflite::ModelT model_;
  std::map<std::pair<tflite::BuiltinOperator, int>, unsigned> codes_;
  std::size_t bytes_ = 0;  // of constants
};

// Values of a graph in the file, in either order of axes: the model's own, or, where they have four, channels last. Whoever
// wants the other one gets a transposition, once.
class TfliteLayout {
 public:
  TfliteLayout(const Graph& graph, TfliteModel& model) : graph_(graph), model_(model) {}

  [[nodiscard]] bool is_last(ValueId id) const { return last_.contains(id); }
  int plain(ValueId id);
  int last(ValueId id);
  // As it is there already; of a constant, or where both are, as `wants_last`.
  int as(ValueId id, bool wants_last) { return wants_last ? last(id) : plain(id); }

  // Where an operation puts its answer.
  int answer(ValueId id, bool channels_last);
  void is_the_same(ValueId id, int tensor) { plain_[id] = tensor; }

 private:
  int transposed(int tensor, const Value& value, const std::vector<std::int64_t>& order, const char* suffix);

  const Graph& graph_;
  TfliteModel& model_;
  std::map<ValueId, int> plain_;
  std::map<ValueId, int> last_;
};

// [N, C, H, W] as [N, H, W, C], and back.
inline const std::vector<std::int64_t> to_channels_last{0, 2, 3, 1};
inline const std::vector<std::int64_t> from_channels_last{0, 3, 1, 2};
// Where an axis of [N, C, H, W] is then.
[[nodiscard]] std::int64_t axis_in_last(std::int64_t axis);
// As many numbers, one for each axis, in that order of axes.
[[nodiscard]] std::vector<std::int64_t> in_last(const std::vector<std::int64_t>& of_axes);

void write_tflite_operation(const Graph& graph, TfliteModel& model, TfliteLayout& layout, const Operation& operation,
                            bool weights_in_int8);

}  // namespace outcrop::exchange
