#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/messages/signature.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// What of an output people can look at: the values of its first map at the points of a picture. Of an output that is
// judged by classes these are the answers, of which a class's share of each point is left out.
struct FirstMap {
  std::vector<std::int64_t> shape;  // of all that the map is the first of
  messages::Grid grid;
  std::vector<double> values;  // row by row

  // Nothing but what is here: neither thinned nor the first of several.
  [[nodiscard]] bool is_whole() const;
};

// Rows and columns are the last two sizes beside a free first one, which counts calls made together. unsupported where the
// signature has no such map ("draws no picture"), invalid_data where numbers of it are none.
[[nodiscard]] Result<FirstMap> first_map(const messages::Output& output, const Tensor& tensor);

// As a board says it.
[[nodiscard]] messages::Picture::Drawn draw(const std::string& output, const FirstMap& map);

}  // namespace outcrop::runtime
