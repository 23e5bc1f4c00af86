#pragma once

#include <stdexcept>
#include <utility>

#include "protocol/base/error.hpp"

namespace outcrop {

// For helpers of tests that are no test themselves: what must not fail ends them, saying why.
template <class T>
T value_of(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  return std::move(*result);
}
inline void check(const Status& status) {
  if (!status) throw std::runtime_error(status.error().message());
}

}  // namespace outcrop
