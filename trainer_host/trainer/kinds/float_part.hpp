#pragma once

#include <string>

namespace outcrop::kinds {

// What is not int8 in a file, and why.
struct FloatPart {
  std::string name;
  std::string reason;
};

}  // namespace outcrop::kinds
