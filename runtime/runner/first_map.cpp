#include "runtime/runner/first_map.hpp"

#include <algorithm>
#include <cmath>

namespace outcrop::runtime {
namespace {

// Whether the last of the sizes counts classes, of which each point answers one.
bool has_shares(const messages::Output& output) {
  return output.score == messages::Score::label && output.type.dtype == "float32";
}

// Sizes of a map, by the signature: its own two at least, where a free first one is not among them.
bool is_map(const messages::Output& output) {
  const auto& shape = output.type.shape;
  const bool batched = !shape.empty() && !shape.front().name.empty();
  return shape.size() >= 2U + (batched ? 1U : 0U) + (has_shares(output) ? 1U : 0U);
}

double value_at(const Tensor& tensor, std::size_t index) {
  return tensor.dtype == DType::float32 ? static_cast<double>(tensor.floats()[index])
                                        : static_cast<double>(tensor.integers()[index]);
}

// Which class has the largest share at a point.
double answer_at(const Tensor& tensor, std::size_t point, std::size_t classes) {
  const auto shares = tensor.floats().subspan(point * classes, classes);
  return static_cast<double>(std::max_element(shares.begin(), shares.end()) - shares.begin());
}

}  // namespace

bool FirstMap::is_whole() const {
  std::size_t all = 1;
  for (const std::int64_t size : shape) all *= static_cast<std::size_t>(size);
  return all == values.size();
}

Result<FirstMap> first_map(const messages::Output& output, const Tensor& tensor) {
  OUTCROP_CHECK(check_size(tensor));
  FirstMap map;
  map.shape = tensor.shape;
  std::size_t classes = 0;
  if (is_map(output) && has_shares(output) && !map.shape.empty()) {
    classes = static_cast<std::size_t>(map.shape.back());
    map.shape.pop_back();
  }
  const auto grid = is_map(output) && (classes > 0 || !has_shares(output)) ? messages::grid_of(map.shape) : std::nullopt;
  if (!grid || tensor.elements() == 0) {
    return fail(ErrorCode::unsupported, "it draws no picture: its first output, '" + output.name + "', is " +
                                            messages::describe(output.type));
  }
  map.grid = *grid;
  const auto width = static_cast<std::size_t>(map.shape.back());
  for (std::size_t row = 0; row < grid->rows; ++row) {
    for (std::size_t column = 0; column < grid->columns; ++column) {
      const std::size_t point = row * static_cast<std::size_t>(grid->row_step) * width +
                                column * static_cast<std::size_t>(grid->column_step);
      const double value = classes > 0 ? answer_at(tensor, point, classes) : value_at(tensor, point);
      if (!std::isfinite(value)) {
        return fail(ErrorCode::invalid_data, "what it drew is no picture: '" + output.name +
                                                 "' holds a value that is not finite, in row " +
                                                 std::to_string(row * static_cast<std::size_t>(grid->row_step)));
      }
      map.values.push_back(value);
    }
  }
  return map;
}

messages::Picture::Drawn draw(const std::string& output, const FirstMap& map) {
  const auto [min, max] = std::minmax_element(map.values.begin(), map.values.end());
  messages::Picture::Drawn drawn{output, map.shape, *min, *max, {}};
  const double span = *max - *min;
  for (const double value : map.values) {
    drawn.gray += static_cast<char>(span > 0 ? std::lround(255 * ((value - *min) / span)) : 0);
  }
  return drawn;
}

}  // namespace outcrop::runtime
