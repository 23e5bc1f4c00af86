#pragma once

#include "protocol/trust/ed25519.hpp"

namespace outcrop::trust {

inline PrivateKey new_key() {
  return std::move(*PrivateKey::generate());
}

}  // namespace outcrop::trust
