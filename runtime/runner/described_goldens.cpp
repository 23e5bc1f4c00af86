#include "runtime/runner/described_goldens.hpp"

#include <cmath>
#include <map>
#include <string>

#include "runtime/runner/signed_values.hpp"

namespace outcrop::runtime {
namespace {

tl::unexpected<Error> untrusted(const std::string& why) {
  return fail(ErrorCode::untrusted, why);
}

// The tensors of a golden file by name, and how much of each was named.
class Named {
 public:
  Named(std::string file, const std::vector<Tensor>& tensors) : file_(std::move(file)) {
    for (const Tensor& tensor : tensors) entries_[tensor.name] = {&tensor, 0};
  }

  Result<Tensor> take(const messages::TensorReference& reference) {
    const auto found = entries_.find(reference.tensor);
    if (found == entries_.end()) {
      return untrusted("the golden " + file_ + " holds no '" + reference.tensor + "'; it holds " +
                       names());
    }
    Entry& entry = found->second;
    const Tensor& tensor = *entry.tensor;
    OUTCROP_CHECK(check_size(tensor));
    if (!reference.row) {
      entry.rows = whole;
      return tensor;
    }
    if (tensor.shape.empty() || *reference.row >= tensor.shape[0]) {
      return untrusted("golden " + file_ + " '" + tensor.name + "' is " + describe(tensor) +
                       " and has no row " + std::to_string(*reference.row));
    }
    entry.rows = std::max(entry.rows, *reference.row + 1);
    return tensor.row(*reference.row);
  }

  [[nodiscard]] Status check_all_named() const {
    for (const auto& [name, entry] : entries_) {
      if (entry.rows == whole || (entry.rows > 0 && entry.rows == entry.tensor->shape[0])) continue;
      return untrusted("the golden " + file_ + " holds " +
                       (entry.rows == 0 ? "'" + name + "', which no call names"
                                        : "'" + name + "', " + describe(*entry.tensor) + ", and " +
                                              std::to_string(entry.rows) + " rows are named"));
    }
    return {};
  }

 private:
  static constexpr std::int64_t whole = -1;
  struct Entry {
    const Tensor* tensor = nullptr;
    std::int64_t rows = 0;  // the first so many were named; or `whole`
  };

  [[nodiscard]] std::string names() const {
    std::string text;
    for (const auto& [name, entry] : entries_) text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "nothing" : text;
  }

  std::string file_;
  std::map<std::string, Entry> entries_;
};

Status check_finite(const Tensor& tensor, const std::string& where) {
  if (tensor.dtype != DType::float32) return {};
  const auto values = tensor.floats();
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return untrusted(where + ": '" + tensor.name + "' holds a value that is not finite, at element " +
                     std::to_string(i));
  }
  return {};
}

Result<ProofCall> proof_call(const messages::Method& method, const messages::GoldenCall& call,
                             Named& inputs, Named& outputs, const std::string& where) {
  ProofCall proof{call.method, {}, {}};
  for (const messages::CallArgument& argument : call.arguments) {
    if (const auto* reference = std::get_if<messages::TensorReference>(&argument)) {
      OUTCROP_TRY(tensor, inputs.take(*reference));
      proof.arguments.emplace_back(std::move(tensor));
    } else {
      std::visit(
          [&](const auto& plain) {
            if constexpr (!std::is_same_v<std::decay_t<decltype(plain)>,
                                          messages::TensorReference>) {
              proof.arguments.emplace_back(plain);
            }
          },
          argument);
    }
  }
  const auto sizes = messages::check_arguments(method, given(proof.arguments));
  if (!sizes) return untrusted(where + ": " + sizes.error().message());
  for (const messages::TensorReference& reference : call.outputs) {
    OUTCROP_TRY(tensor, outputs.take(reference));
    OUTCROP_CHECK(check_finite(tensor, where));
    proof.outputs.push_back(std::move(tensor));
  }
  if (const Status named = name_outputs(method, *sizes, proof.outputs); !named) {
    return untrusted(where + ": " + named.error().message());
  }
  return proof;
}

}  // namespace

Result<std::vector<ProofCall>> proof_calls(const messages::Signature& signature,
                                           const std::vector<messages::GoldenCall>& calls,
                                           const std::vector<Tensor>& inputs,
                                           const std::vector<Tensor>& outputs) {
  Named named_inputs("input", inputs);
  Named named_outputs("output", outputs);
  std::vector<ProofCall> proofs;
  for (const messages::GoldenCall& call : calls) {
    const std::string where = "golden call " + std::to_string(proofs.size() + 1);
    const messages::Method* method = signature.method(call.method);
    if (method == nullptr) return untrusted(where + ": no method '" + call.method + "' is signed");
    OUTCROP_TRY(proof, proof_call(*method, call, named_inputs, named_outputs, where));
    proofs.push_back(std::move(proof));
  }
  if (proofs.empty()) return untrusted("a proof needs golden calls, and none is signed");
  OUTCROP_CHECK(named_inputs.check_all_named());
  OUTCROP_CHECK(named_outputs.check_all_named());
  return proofs;
}

}  // namespace outcrop::runtime
