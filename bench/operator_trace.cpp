#include "bench/operator_trace.hpp"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <utility>

namespace outcrop::bench {
namespace {

std::string describe(const at::Tensor& tensor) {
  std::string text = c10::toString(tensor.scalar_type());
  text += " [";
  for (std::int64_t i = 0; i < tensor.dim(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(tensor.size(i));
  }
  return text + "]";
}

runtime::Tensor values_of(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor real = tensor.is_quantized() ? tensor.int_repr()
                          : tensor.is_complex() ? at::view_as_real(tensor)
                                                : tensor;
  const at::Tensor plain = real.to(at::kFloat).contiguous();
  return runtime::Tensor::of_floats(
      name, plain.sizes().vec(),
      {plain.data_ptr<float>(), static_cast<std::size_t>(plain.numel())});
}

}  // namespace

struct OperatorTrace::State {
  struct Running {
    std::uint64_t began = 0;
    std::uint64_t within = 0;  // of the operators that it called
  };

  std::function<std::uint64_t()> clock;
  bool keep_outputs = false;
  std::uint64_t watching = 0;  // instructions of our own so far
  std::size_t outer = 0;       // operators so far that the model itself called
  std::vector<Running> running;
  std::vector<TracedOperator> done;
  // LibTorch's callbacks are plain function pointers, called on the thread that registered them.
  static thread_local State* current;

  static std::unique_ptr<at::ObserverContext> on_begin(const at::RecordFunction& /*function*/) {
    if (current == nullptr) return nullptr;
    const std::uint64_t entered = current->clock();
    current->running.push_back({entered - current->watching, 0});
    current->watching += current->clock() - entered;
    return nullptr;
  }

  static void on_end(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
    if (current == nullptr) return;
    State& state = *current;
    const std::uint64_t entered = state.clock();
    const Running ended = state.running.back();
    state.running.pop_back();
    const std::uint64_t whole = entered - state.watching - ended.began;
    if (!state.running.empty()) state.running.back().within += whole;
    state.note(function, whole - ended.within);
    state.watching += state.clock() - entered;
  }

  void note(const at::RecordFunction& function, std::uint64_t instructions) {
    TracedOperator traced{function.name(), {}, instructions, std::nullopt};
    const auto& outputs = function.outputs();
    if (!outputs.empty() && outputs.back().isTensor() && outputs.back().toTensor().defined()) {
      const at::Tensor& tensor = outputs.back().toTensor();
      traced.output = describe(tensor);
      if (keep_outputs && running.empty()) {
        current = nullptr;  // what copying calls is not the model's
        traced.values = values_of(std::to_string(outer++) + " " + traced.name, tensor);
        current = this;
      }
    }
    done.push_back(std::move(traced));
  }
};

thread_local OperatorTrace::State* OperatorTrace::State::current = nullptr;

OperatorTrace::OperatorTrace(std::function<std::uint64_t()> clock, bool keep_outputs)
    : state_(std::make_unique<State>()) {
  state_->clock = std::move(clock);
  state_->keep_outputs = keep_outputs;
  state_->done.reserve(1024);
  State::current = state_.get();
  handle_ = at::addThreadLocalCallback(at::RecordFunctionCallback(State::on_begin, State::on_end)
                                           .needsOutputs(true)
                                           .scopes({at::RecordScope::FUNCTION}));
}

OperatorTrace::~OperatorTrace() {
  at::removeCallback(handle_);
  State::current = nullptr;
}

const std::vector<TracedOperator>& OperatorTrace::operators() const {
  return state_->done;
}

}  // namespace outcrop::bench
