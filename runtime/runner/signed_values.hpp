#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/signature.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// Values and schemas as a signature (protocol/messages/signature.hpp) judges them.

[[nodiscard]] std::vector<messages::Given> given(std::span<const Value> arguments);

// Gives the outputs of a call their names. invalid_data, naming the output, where they are not what
// the method gives in a call with these sizes: count, dtype, shape.
[[nodiscard]] Status name_outputs(const messages::Method& method, const messages::FreeSizes& sizes,
                                  std::vector<Tensor>& outputs);

// That a file has every method of the signature, with its inputs' names and types and as many outputs.
// `schemas` are those of LoadReport. invalid_data says the method and both sides.
[[nodiscard]] Status check_schemas(const messages::Signature& signature,
                                   const std::map<std::string, std::string>& schemas);

}  // namespace outcrop::runtime
