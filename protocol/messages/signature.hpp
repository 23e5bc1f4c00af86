#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::messages {

// What a model takes and gives (SCHEMA.md, "Signature"): whoever calls a model, judges or shows what it
// gives reads it here, and knows nothing else of the kind of model.

// Inclusive, in the unit of what it bounds.
struct Range {
  double least = 0;
  double most = 0;
  bool operator==(const Range&) const = default;
};

// A size, or a free one by its name: the same name in one call is the same size.
struct Dimension {
  Dimension() = default;
  Dimension(std::int64_t of) : size(of) {}               // NOLINT: a shape reads {"batch", 1, 70, 70}
  Dimension(int of) : size(of) {}                        // NOLINT
  Dimension(std::string of) : name(std::move(of)) {}     // NOLINT
  Dimension(const char* of) : name(of) {}                // NOLINT

  std::int64_t size = 0;  // from 1; 0 where it is free
  std::string name;       // "batch"; empty where it is a size
  bool operator==(const Dimension&) const = default;
};

struct TensorType {
  std::string dtype = "float32";  // or "int64"
  std::vector<Dimension> shape;
  std::string unit;            // "m/s"; empty where values have none
  std::optional<Range> range;  // of its values
  bool operator==(const TensorType&) const = default;
};

enum class ScalarKind { integer, real, boolean };
using ScalarValue = std::variant<std::int64_t, double, bool>;  // in the order of ScalarKind

struct ScalarType {
  ScalarKind kind = ScalarKind::integer;
  std::optional<ScalarValue> otherwise;  // the default; none: it must be given
  std::optional<Range> range;
  std::string gives;  // the free dimension whose size an integer is: "batch"; empty: none
  bool operator==(const ScalarType&) const = default;
};

struct Input {
  std::string name;
  std::variant<ScalarType, TensorType> type;
  bool operator==(const Input&) const = default;
};

// How an output is compared with a true one. Tolerances are distances whatever this says.
enum class Score {
  absolute,  // mean and largest absolute distance in its unit
  label,     // "class": the largest along the last dimension, or the integer itself, is the answer
};
[[nodiscard]] std::string_view to_string(Score score);

struct Output {
  std::string name;
  TensorType type;
  Score score = Score::absolute;
  bool operator==(const Output&) const = default;
};

struct Method {
  std::string name;
  std::vector<Input> inputs;    // in the order of the method's arguments
  std::vector<Output> outputs;  // in the order of its results
  bool operator==(const Method&) const = default;
};

// An output of one name is the same wherever it stands: type, unit, range and score.
struct Signature {
  std::string served;  // the method that boards serve
  std::vector<Method> methods;
  bool operator==(const Signature&) const = default;

  // Null where there is no such method.
  [[nodiscard]] const Method* method(std::string_view name) const;
  // The served one; there must be one, as parsing makes sure of.
  [[nodiscard]] const Method& serves() const { return *method(served); }
};

// An argument as far as a signature judges it; of a tensor the least and the largest of its values,
// NaN where any is not finite, 0 where it has none.
struct GivenTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  double least = 0;
  double most = 0;
};
using Given = std::variant<std::int64_t, double, bool, GivenTensor>;

// Sizes of the free dimensions in one call.
using FreeSizes = std::map<std::string, std::int64_t>;

// That there are as many arguments as inputs, each of its kind, dtype, shape and range, and that free
// dimensions agree. invalid_argument names the method, the input and what would be right.
[[nodiscard]] Result<FreeSizes> check_arguments(const Method& method,
                                                std::span<const Given> arguments);

// The shape in a call with these sizes; internal where a free dimension is not among them.
[[nodiscard]] Result<std::vector<std::int64_t>> shape_of(const TensorType& type,
                                                         const FreeSizes& sizes);

// Bytes of all outputs of a call with these sizes; invalid_argument where they fit in no memory.
[[nodiscard]] Result<ByteCount> answer_size(const Method& method, const FreeSizes& sizes);

// "float32 [batch, 1, 70, 70] m/s".
[[nodiscard]] std::string describe(const TensorType& type);
// "batch_size: int 1 to 256 (gives batch)", "latent: float32 [batch, 128]".
[[nodiscard]] std::string describe(const Input& input);
// "forward(batch_size: int 1 to 256, seed: int = 0) -> map float32 [batch, 1, 70, 70] m/s".
[[nodiscard]] std::string describe(const Method& method);

}  // namespace outcrop::messages
