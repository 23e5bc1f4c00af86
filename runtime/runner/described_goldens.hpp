#pragma once

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "runtime/runner/trial.hpp"

namespace outcrop::runtime {

// That golden files hold exactly what the signed manifest says of them: the same tensors in the
// same order, by name, dtype and shape, with the number of latents as first dimension, and at
// least one input and one output. Fails with untrusted, naming the tensor: a proof by anything
// else would prove less than what was signed.
[[nodiscard]] Status check_goldens(const messages::Golden& described, const Goldens& goldens);

}  // namespace outcrop::runtime
