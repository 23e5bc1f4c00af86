#pragma once

#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::kinds {

// A task, besides, whose network can be another one's with parts of its own added. A new run of it can begin with weights of
// that other one: its own parts stay as they were made.
class AddsToTrained {
 public:
  virtual ~AddsToTrained() = default;

  // Task::shape() of the other network; "" where nothing of its own is added.
  [[nodiscard]] virtual std::string shape_without_added() const = 0;
  // Whether a part is added, by the name that its tensors begin with.
  [[nodiscard]] virtual bool is_added(std::string_view tensor) const = 0;
  // Why a new run cannot begin with random weights, and what would be right, where it cannot.
  [[nodiscard]] virtual Status check_random_beginning() const = 0;
};

}  // namespace outcrop::kinds
