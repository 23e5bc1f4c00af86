#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine/tensor.hpp"
#include "trainer_host/trainer/kinds/evaluation.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::kinds {

// What `outcrop condition` asks of a model that draws samples from noise: samples that are not free.
struct Conditions {
  enum class Way {
    known,   // that agree with the values of `given` which are not NaN
    around,  // that vary it
  };
  Way way = Way::known;
  runtime::Tensor given;   // float32: one sample, or several, of which
  std::size_t sample = 0;  // this one is meant
  std::vector<std::int64_t> columns;  // known: of it alone these are known, as wells; empty: all that it has
  double deviation = 100.0;           // known: how far from it values may lie, in its unit; above 0
  double strength = 0.5;              // around: how much of it noise replaces, above 0 to 1
  std::size_t count = 8;              // samples, at least one
  std::uint64_t seed = 1;
  models::CallableModel* model = nullptr;  // the variant that makes them
  std::function<void(std::size_t done, std::size_t total)> progress{};  // may be empty
};

struct Conditioned {
  std::vector<runtime::Tensor> outputs;  // as the signature has them: [count, …]
  // Figures of these samples, beside those of the same noise under no condition; the picture shows both.
  Evaluation shown;
};

}  // namespace outcrop::kinds
