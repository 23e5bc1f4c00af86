#pragma once

#include <string>
#include <vector>

#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// One call of a method and the answers that every variant must give, named.
struct ProofCall {
  std::string method;
  std::vector<Value> arguments;
  std::vector<Tensor> outputs;  // in the order of the method's results
};

}  // namespace outcrop::runtime
