#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/messages/golden_call.hpp"

namespace outcrop::messages {

// The golden part of releases of protocols 1 to 3: rows ("latents") of tensors through one method,
// proved and measured row by row, while boards served `forward(batch_size, seed)`.

// Without the first dimension, the latents.
struct RowSchema {
  std::string name;
  std::string dtype;  // "float32", "int64"
  std::vector<std::int64_t> shape;
  std::string unit;  // of outputs
  bool operator==(const RowSchema&) const = default;
};

struct RowsGolden {
  std::string method = "decode";
  std::uint64_t latents = 0;
  std::vector<RowSchema> inputs;   // arguments of the method in order
  std::vector<RowSchema> outputs;  // in the order of its results
  bool operator==(const RowsGolden&) const = default;
};

// The same as signature and calls: one call for each row, the first of which is measured.
[[nodiscard]] Signature signature_of(const RowsGolden& rows);
[[nodiscard]] std::vector<GoldenCall> calls_of(const RowsGolden& rows);

// And back: for what those two made, and nothing else.
[[nodiscard]] RowsGolden rows_of(const Signature& signature, const std::vector<GoldenCall>& calls);

}  // namespace outcrop::messages
