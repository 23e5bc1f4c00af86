#include "trainer_host/pki/revocation_list.hpp"

#include <algorithm>
#include <cctype>

#include "protocol/trust/certificate.hpp"
#include "protocol/trust/openssl.hpp"

namespace outcrop::pki {

using trust::Owned;

Result<RevocationList> RevocationList::read(std::string_view authority_pem,
                                            std::string_view list_pem) {
  const Owned<BIO> authority_text = trust::read_only_bio(authority_pem);
  const Owned<X509> authority(
      PEM_read_bio_X509(authority_text.get(), nullptr, trust::refuse_password, nullptr));
  if (!authority) {
    return fail(ErrorCode::invalid_data, "the authority's certificate: " + trust::openssl_reason());
  }
  const Owned<BIO> list_text = trust::read_only_bio(list_pem);
  const Owned<X509_CRL> list(
      PEM_read_bio_X509_CRL(list_text.get(), nullptr, trust::refuse_password, nullptr));
  if (!list) {
    return fail(ErrorCode::invalid_data,
                "not a list of revoked certificates in PEM: " + trust::openssl_reason());
  }
  if (X509_NAME_cmp(X509_CRL_get_issuer(list.get()), X509_get_subject_name(authority.get())) != 0 ||
      X509_CRL_verify(list.get(), X509_get0_pubkey(authority.get())) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::untrusted,
                "the list of revoked certificates is not signed by this device authority");
  }
  RevocationList read;
  const STACK_OF(X509_REVOKED)* const entries = X509_CRL_get_REVOKED(list.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    read.serials_.insert(
        trust::serial_text(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i))));
  }
  return read;
}

}  // namespace outcrop::pki
