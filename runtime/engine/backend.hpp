#pragma once

#include <string>
#include <vector>

namespace outcrop::runtime {

// A set of kernels of an engine, with the result of testing its quantized operators against
// float on this machine.
struct Backend {
  std::string name;                      // "qnnpack"
  std::vector<std::string> failed;       // operators that gave wrong numbers: never used
  std::vector<std::string> unsupported;  // operator, type and reason: the library refuses itself
};

}  // namespace outcrop::runtime
