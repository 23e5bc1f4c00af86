#pragma once

#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/proof_call.hpp"

namespace outcrop::runtime {

// The calls with their tensors out of golden files. The files must hold exactly what the calls name,
// each argument and answer as the signature says, of finite numbers: a proof by anything else would
// prove less than what was signed. Fails with untrusted, naming call and tensor.
[[nodiscard]] Result<std::vector<ProofCall>> proof_calls(
    const messages::Signature& signature, const std::vector<messages::GoldenCall>& calls,
    const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs);

}  // namespace outcrop::runtime
