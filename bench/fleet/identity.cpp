#include "bench/fleet/identity.hpp"

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "protocol/trust/openssl.hpp"

namespace outcrop::bench {

void Identity::prove_by(SSL* connection) const {
  const auto text = trust::read_only_bio(certificate);
  const trust::Owned<X509> read(::PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
  ::SSL_use_certificate(connection, read.get());
  ::SSL_use_PrivateKey(connection, static_cast<EVP_PKEY*>(key.openssl()));
}

}  // namespace outcrop::bench
