#include <algorithm>

#include "trainer_host/trainer/exchange/tflite/tflite_model.hpp"

namespace outcrop::exchange {
namespace {

constexpr std::size_t image_rank = 4;

// Only axes of one element change places: the same values in the same order.
bool moves_nothing(const Shape& shape, const std::vector<std::int64_t>& order) {
  std::int64_t before = -1;
  for (const std::int64_t axis : order) {
    if (shape[static_cast<std::size_t>(axis)] == 1) continue;
    if (axis < before) return false;
    before = axis;
  }
  return true;
}

Shape shape_in(const Shape& shape, const std::vector<std::int64_t>& order) {
  Shape result;
  for (const std::int64_t axis : order) result.push_back(shape[static_cast<std::size_t>(axis)]);
  return result;
}

}  // namespace

std::int64_t axis_in_last(std::int64_t axis) { return from_channels_last.at(static_cast<std::size_t>(axis)); }

std::vector<std::int64_t> in_last(const std::vector<std::int64_t>& of_axes) { return shape_in(of_axes, to_channels_last); }

// `value` has the shape that `tensor` has.
int TfliteLayout::transposed(int tensor, const Value& value, const std::vector<std::int64_t>& order, const char* suffix) {
  Value result = value;
  result.name += suffix;
  result.shape = shape_in(value.shape, order);
  const int made = model_.tensor(result);
  if (moves_nothing(value.shape, order)) {
    model_.add(tflite::BuiltinOperator::RESHAPE, 1, {tensor, model_.integers(result.shape)}, made);
  } else {
    model_.add(tflite::BuiltinOperator::TRANSPOSE, value.codes ? 2 : 1, {tensor, model_.integers(order)}, made);
  }
  return made;
}

int TfliteLayout::plain(ValueId id) {
  if (const auto found = plain_.find(id); found != plain_.end()) return found->second;
  const Value& value = graph_.values[id];
  int tensor = 0;
  if (value.data) {
    tensor = model_.tensor(value);
  } else {
    Value in_file = value;
    in_file.shape = shape_in(value.shape, to_channels_last);
    tensor = transposed(last_.at(id), in_file, from_channels_last, "");
  }
  plain_[id] = tensor;
  return tensor;
}

int TfliteLayout::last(ValueId id) {
  if (const auto found = last_.find(id); found != last_.end()) return found->second;
  const Value& value = graph_.values[id];
  int tensor = 0;
  if (value.data) {
    Value image = value;  // a constant of fewer axes broadcasts over the first ones
    image.shape.insert(image.shape.begin(), image_rank - image.shape.size(), 1);
    image = permuted(image, to_channels_last);
    image.name += ".channels_last";
    tensor = model_.tensor(image);
  } else {
    tensor = transposed(plain_.at(id), value, to_channels_last, ".channels_last");
  }
  last_[id] = tensor;
  return tensor;
}

int TfliteLayout::answer(ValueId id, bool channels_last) {
  Value value = graph_.values[id];
  if (channels_last) {
    value.shape = shape_in(value.shape, to_channels_last);
    value.name += ".channels_last";
  }
  const int tensor = model_.tensor(value);
  (channels_last ? last_ : plain_)[id] = tensor;
  return tensor;
}

}  // namespace outcrop::exchange
