#pragma once

#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/signature.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::agent {

// What somebody asks of a method, by the names of its inputs.
struct NamedArguments {
  std::map<std::string, std::string> scalars;  // as text: "7", "0.5", "true"
  std::vector<runtime::Tensor> tensors;        // one without a name is the only tensor input
};

// A call as the method takes it.
struct NamedCall {
  std::vector<runtime::Value> arguments;
  messages::FreeSizes sizes;
};

// Puts arguments in order. A scalar that is not given has its default; one that gives a free
// dimension has that of the tensors, or 1. "count" means the scalar that gives a free dimension
// where no input has that name. invalid_argument says what is missing, unknown or wrong and what
// the method takes; also where the answer would have more than `largest_answer` bytes.
[[nodiscard]] Result<NamedCall> call_of(const messages::Method& method, NamedArguments named,
                                        ByteCount largest_answer);

}  // namespace outcrop::agent
