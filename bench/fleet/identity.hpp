#pragma once

#include <openssl/types.h>

#include <string>

#include "protocol/trust/ed25519.hpp"

namespace outcrop::bench {

// Who a board is to its broker.
struct Identity {
  std::string name;
  trust::PrivateKey key;
  std::string certificate;  // PEM

  // The connection is this board's.
  void prove_by(SSL* connection) const;
};

}  // namespace outcrop::bench
