#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {

// Gives a model that stages are signed for already another stage key, after one was stolen or lost:
// targets names the new key alone, for `expires` from `now`, and what this folder has signed is signed
// anew by it. The new key takes the place of the old one, which is deleted. Boards let the model's list
// begin anew, so what a thief signed last counts no more. Of several keys the one in stage.key is replaced, and the threshold stays. Needs keys of targets. Revoke the old key
// first: boards obey a revocation at once, wherever they are.
//
// The new targets is what makes it count: cut off before, nothing has changed; cut off after, the
// next call finishes it first, and goes on to another key.
[[nodiscard]] Status delegate_anew(const std::filesystem::path& folder, const std::string& model,
                                   std::chrono::days expires, Timestamp now,
                                   Missing missing = Missing::refuse);

}  // namespace outcrop::release
