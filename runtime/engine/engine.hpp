#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/backend.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/inspect/inspection.hpp"

namespace outcrop::runtime {

// An operator that a call ran, and the time until the next one began, or the call ended: times of a call add up to it, but for
// what came before the first.
struct OperatorTime {
  std::string name;  // "aten::conv2d"
  std::chrono::nanoseconds time{0};
};
// Calls that run more are not told: of a loop that runs its body very often.
inline constexpr std::size_t most_operator_times = 4096;

// One call of a model's method with its arguments already in the engine's own form, so that
// what is timed is the model and nothing else.
class Call {
 public:
  virtual ~Call() = default;
  [[nodiscard]] virtual Status run() = 0;
  // The same, watched: what the engine's interpreter ran, in order. unsupported where it cannot tell, or ran too many.
  [[nodiscard]] virtual Result<std::vector<OperatorTime>> run_watched() {
    return fail(ErrorCode::unsupported, "it does not tell the times of operators");
  }
  // Of the latest run: the tensors of a tuple or list, or a single tensor. No names.
  [[nodiscard]] virtual Result<std::vector<Tensor>> outputs() = 0;
};

// A loaded model. Not for use from several threads at once.
class Model {
 public:
  virtual ~Model() = default;
  // Method name -> "decode(Tensor latent) -> Tuple[Tensor, Tensor]".
  [[nodiscard]] virtual std::map<std::string, std::string> methods() const = 0;
  // not_found without such a method. Arguments are checked when the call runs. The call must
  // not outlive the model.
  [[nodiscard]] virtual Result<std::unique_ptr<Call>> prepare(std::string_view method,
                                                              std::span<const Value> arguments) = 0;
};

// A library that runs models. One in a process, used from one thread.
class Engine {
 public:
  virtual ~Engine() = default;
  [[nodiscard]] virtual std::string name() const = 0;     // "torch"
  [[nodiscard]] virtual std::string version() const = 0;  // "1.13.1"
  [[nodiscard]] virtual const std::vector<Backend>& backends() const = 0;
  // By its name in a model's bytecode, "quantized::conv2d.new". That it is there says nothing of
  // whether it computes rightly: backends() does.
  [[nodiscard]] virtual bool has_operator(std::string_view name) const = 0;
  [[nodiscard]] virtual Result<Inspection> inspect(BytesView file) = 0;
  // Runs code of the file: inspect first. `file` must outlive the model. `threads` counts the
  // calling one.
  [[nodiscard]] virtual Result<std::unique_ptr<Model>> load(BytesView file,
                                                            std::string_view backend,
                                                            int threads) = 0;
};

}  // namespace outcrop::runtime
