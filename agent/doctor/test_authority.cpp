#include "agent/doctor/test_authority.hpp"

#include <openssl/rand.h>

#include <cstdint>
#include <cstdlib>

#include "protocol/trust/openssl.hpp"

namespace outcrop::agent {
namespace {

using trust::Owned;

void check(bool good) {
  if (!good) std::abort();
}

// By days: certificates here end in 2120, and time_t may have 32 bits.
void set_time(X509* certificate, Timestamp time, int (*set)(X509*, const ASN1_TIME*)) {
  constexpr std::int64_t day = 86'400;
  const std::int64_t seconds = time.time_since_epoch().count();
  const Owned<ASN1_STRING> value(
      ASN1_TIME_adj(nullptr, 0, static_cast<int>(seconds / day), static_cast<long>(seconds % day)));
  check(value && set(certificate, value.get()) == 1);
}

Owned<X509_NAME> name_of(const std::string& common_name) {
  Owned<X509_NAME> name(X509_NAME_new());
  check(X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8,
                                   reinterpret_cast<const unsigned char*>(common_name.c_str()), -1,
                                   -1, 0) == 1);
  return name;
}

void extend(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  check(extension && X509_add_ext(certificate, extension.get(), -1) == 1);
}

std::string sign(const std::string& issuer, const trust::PrivateKey& by,
                 const TestAuthority::Wish& wish, const trust::PublicKey& key, bool authority) {
  const Owned<X509> certificate(X509_new());
  X509* const one = certificate.get();
  std::int64_t serial = 0;
  check(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  check(X509_set_version(one, X509_VERSION_3) == 1 &&
        ASN1_INTEGER_set_int64(X509_get_serialNumber(one), serial & INT64_MAX) == 1 &&
        X509_set_subject_name(one, name_of(wish.common_name).get()) == 1 &&
        X509_set_issuer_name(one, name_of(issuer).get()) == 1);
  set_time(one, wish.not_before, X509_set1_notBefore);
  set_time(one, wish.not_after, X509_set1_notAfter);
  const Owned<EVP_PKEY> subject(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(key.bytes().data()),
      key.bytes().size()));
  check(subject && X509_set_pubkey(one, subject.get()) == 1);
  if (authority) extend(one, NID_basic_constraints, "critical,CA:TRUE");
  if (!wish.alternative_name.empty()) {
    extend(one, NID_subject_alt_name, wish.alternative_name);
  }
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  check(X509_sign(one, static_cast<EVP_PKEY*>(by.openssl()), nullptr) > 0 &&
        PEM_write_bio_X509(bio.get(), one) == 1);
  return trust::text_of(bio.get());
}

}  // namespace

TestAuthority::TestAuthority(const std::string& name)
    : name_(name),
      key_(*trust::PrivateKey::generate()),
      certificate_(sign(
          name, key_,
          {name, "", *from_rfc3339("2020-01-01T00:00:00Z"), *from_rfc3339("2120-01-01T00:00:00Z")},
          key_.public_key(), true)) {}

std::string TestAuthority::issue(const Wish& wish, const trust::PublicKey& key) const {
  return sign(name_, key_, wish, key, false);
}

}  // namespace outcrop::agent
