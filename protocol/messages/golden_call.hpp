#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/messages/signature.hpp"

namespace outcrop::messages {

// One call that every variant must answer as the float model did (SCHEMA.md, "Golden calls").

// A tensor of a golden file by its name; in releases of protocols 1 to 3 one row of it, which keeps
// its first dimension.
struct TensorReference {
  TensorReference() = default;
  TensorReference(std::string of, std::optional<std::int64_t> one = std::nullopt)  // NOLINT
      : tensor(std::move(of)), row(one) {}

  std::string tensor;
  std::optional<std::int64_t> row;
  bool operator==(const TensorReference&) const = default;
};

using CallArgument = std::variant<std::int64_t, double, bool, TensorReference>;

struct GoldenCall {
  std::string method;
  std::vector<CallArgument> arguments;   // as many as the method has inputs
  std::vector<TensorReference> outputs;  // in the order of the method's outputs
  bool operator==(const GoldenCall&) const = default;
};

// The outputs that the calls give, each once, in the order in which they come: what has a tolerance.
[[nodiscard]] std::vector<Output> proved_outputs(const Signature& signature,
                                                 const std::vector<GoldenCall>& calls);

}  // namespace outcrop::messages
