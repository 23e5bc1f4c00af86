#pragma once

#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::cli {

// What would come to nothing later is refused before a token is given or used up. An outcropd that is away speaks against
// nothing.

// revoked, with when and why, where outcropd takes no board of this authority any more.
[[nodiscard]] Status check_authority_counts(const HostConnection& host, const pki::Authority& authority);

// not_found where neither outcropd nor the key folder has a key that signs for the model.
[[nodiscard]] Status check_model_has_key(const HostConnection& host, const std::string& model);

}  // namespace outcrop::cli
