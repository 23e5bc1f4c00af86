#include "trainer_host/pki/x509.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <ctime>

#include "protocol/trust/openssl.hpp"

namespace outcrop::pki {
namespace {

using trust::openssl_reason;
using trust::Owned;

// For boards whose clock begins in 1970, and nobody sets before they are connected.
constexpr const char* valid_from = "19700101000000Z";
constexpr const char* valid_to = "21200101000000Z";
constexpr std::time_t lists_from_seconds = 1'577'836'800;  // 2020
constexpr int serial_bits = 159;  // positive, and at most 20 octets

EVP_PKEY* native(const trust::PrivateKey& key) {
  return static_cast<EVP_PKEY*>(key.openssl());
}

tl::unexpected<Error> openssl_failed(const std::string& what) {
  return fail(ErrorCode::internal, what + ": " + openssl_reason());
}

bool set_random_serial(X509* certificate) {
  const Owned<BIGNUM> number(BN_new());
  return number && BN_rand(number.get(), serial_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_common_name(X509_NAME* name, std::string_view text) {
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(text.data()),
                                    static_cast<int>(text.size()), -1, 0) == 1;
}

// Everything but extensions and signature.
Result<Owned<X509>> begin_certificate(std::string_view common_name, EVP_PKEY* key) {
  Owned<X509> certificate(X509_new());
  const bool done = certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
                    set_random_serial(certificate.get()) &&
                    ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate.get()), valid_from) &&
                    ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), valid_to) &&
                    set_common_name(X509_get_subject_name(certificate.get()), common_name) &&
                    X509_set_pubkey(certificate.get(), key) == 1;
  if (!done) return openssl_failed("making a certificate");
  return certificate;
}

struct Extension {
  int nid;
  const char* value;  // in the words of x509v3_config(5); never from outside
};

Status add_extensions(X509* certificate, X509* issuer, std::initializer_list<Extension> list) {
  X509V3_CTX context{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  for (const Extension& wanted : list) {
    const Owned<X509_EXTENSION> extension(
        X509V3_EXT_conf_nid(nullptr, &context, wanted.nid, wanted.value));
    if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
      return openssl_failed("adding an extension to a certificate");
    }
  }
  return {};
}

bool is_dns_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '.'; });
}

// By value, not through OpenSSL's configuration language: a comma in a name must not become a
// second name.
Status add_alternative_names(X509* certificate, const std::vector<std::string>& names) {
  const Owned<GENERAL_NAMES> list(GENERAL_NAMES_new());
  if (!list) return openssl_failed("adding names to a certificate");
  for (const std::string& name : names) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
    ERR_clear_error();
    if (address == nullptr && !is_dns_name(name)) {
      return fail(ErrorCode::invalid_argument,
                  "'" + name + "' is neither a DNS name nor an IP address");
    }
    ASN1_STRING* value = address != nullptr ? address : ASN1_IA5STRING_new();
    GENERAL_NAME* entry = GENERAL_NAME_new();
    if (entry == nullptr || value == nullptr ||
        (address == nullptr &&
         ASN1_STRING_set(value, name.data(), static_cast<int>(name.size())) != 1)) {
      ASN1_STRING_free(value);
      GENERAL_NAME_free(entry);
      return openssl_failed("adding names to a certificate");
    }
    GENERAL_NAME_set0_value(entry, address != nullptr ? GEN_IPADD : GEN_DNS, value);
    if (sk_GENERAL_NAME_push(list.get(), entry) <= 0) {
      GENERAL_NAME_free(entry);
      return openssl_failed("adding names to a certificate");
    }
  }
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, list.get(), 0, X509V3_ADD_DEFAULT) !=
      1) {
    return openssl_failed("adding names to a certificate");
  }
  return {};
}

Result<std::string> sign_and_encode(X509* certificate, EVP_PKEY* key) {
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_sign(certificate, key, nullptr) <= 0 ||
      PEM_write_bio_X509(bio.get(), certificate) != 1) {
    return openssl_failed("signing a certificate");
  }
  return trust::text_of(bio.get());
}

Result<Owned<X509>> parse_authority(std::string_view pem) {
  const Owned<BIO> bio = trust::read_only_bio(pem);
  Owned<X509> authority(bio ? PEM_read_bio_X509(bio.get(), nullptr, trust::refuse_password, nullptr)
                            : nullptr);
  if (!authority) {
    return fail(ErrorCode::invalid_data, "the authority's certificate: " + openssl_reason());
  }
  return authority;
}

Status add_revoked(X509_CRL* list, const RevokedSerial& revoked) {
  BIGNUM* raw = nullptr;
  if (revoked.serial.empty() || BN_hex2bn(&raw, revoked.serial.c_str()) == 0) {
    return openssl_failed("the serial '" + revoked.serial + "' is no hexadecimal number");
  }
  const Owned<BIGNUM> number(raw);
  const Owned<ASN1_INTEGER> serial(BN_to_ASN1_INTEGER(number.get(), nullptr));
  const Owned<ASN1_TIME> time(ASN1_TIME_set(nullptr, revoked.time.time_since_epoch().count()));
  Owned<X509_REVOKED> entry(X509_REVOKED_new());
  if (!serial || !time || !entry || X509_REVOKED_set_serialNumber(entry.get(), serial.get()) != 1 ||
      X509_REVOKED_set_revocationDate(entry.get(), time.get()) != 1 ||
      X509_CRL_add0_revoked(list, entry.get()) != 1) {
    return openssl_failed("adding to the list of revoked certificates");
  }
  static_cast<void>(entry.release());  // the list's now
  return {};
}

bool add_list_extensions(X509_CRL* list, X509* authority, std::size_t number_of_list) {
  X509V3_CTX context{};
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, authority, nullptr, nullptr, list, 0);
  const Owned<X509_EXTENSION> key_id(
      X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
  const Owned<ASN1_INTEGER> number(ASN1_INTEGER_new());
  return key_id && X509_CRL_add_ext(list, key_id.get(), -1) == 1 && number &&
         ASN1_INTEGER_set_uint64(number.get(), number_of_list) == 1 &&
         X509_CRL_add1_ext_i2d(list, NID_crl_number, number.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

}  // namespace

Result<std::string> make_authority_certificate(std::string_view common_name,
                                               const trust::PrivateKey& key) {
  OUTCROP_TRY(certificate, begin_certificate(common_name, native(key)));
  X509* const raw = certificate.get();
  if (X509_set_issuer_name(raw, X509_get_subject_name(raw)) != 1) {
    return openssl_failed("making a certificate");
  }
  OUTCROP_CHECK(add_extensions(raw, raw,
                               {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                {NID_subject_key_identifier, "hash"}}));
  return sign_and_encode(raw, native(key));
}

Result<std::string> make_leaf_certificate(const LeafProfile& profile, const trust::PublicKey& key,
                                          const trust::PrivateKey& authority_key,
                                          std::string_view authority_pem) {
  const Owned<EVP_PKEY> subject_key(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(key.bytes().data()),
      key.bytes().size()));
  if (!subject_key) return openssl_failed("making a certificate");
  OUTCROP_TRY(authority, parse_authority(authority_pem));
  OUTCROP_TRY(certificate, begin_certificate(profile.common_name, subject_key.get()));
  X509* const raw = certificate.get();
  if (X509_set_issuer_name(raw, X509_get_subject_name(authority.get())) != 1) {
    return openssl_failed("making a certificate");
  }
  OUTCROP_CHECK(add_extensions(raw, authority.get(),
                               {{NID_basic_constraints, "critical,CA:FALSE"},
                                {NID_key_usage, "critical,digitalSignature"},
                                {NID_ext_key_usage, profile.server ? "serverAuth" : "clientAuth"},
                                {NID_subject_key_identifier, "hash"},
                                {NID_authority_key_identifier, "keyid:always"}}));
  if (!profile.alternative_names.empty()) {
    OUTCROP_CHECK(add_alternative_names(raw, profile.alternative_names));
  }
  return sign_and_encode(raw, native(authority_key));
}

Result<std::string> make_revocation_list(const std::vector<RevokedSerial>& revoked,
                                         const trust::PrivateKey& authority_key,
                                         std::string_view authority_pem) {
  OUTCROP_TRY(authority, parse_authority(authority_pem));
  const Owned<X509_CRL> list(X509_CRL_new());
  const Owned<ASN1_TIME> from(ASN1_TIME_new());
  const Owned<ASN1_TIME> to(ASN1_TIME_new());
  const std::size_t number = revoked.size() + 1;
  // From long ago: a list that the broker's clock finds too young would shut every board out. A second
  // more for each number: OpenSSL takes the list of the latest date.
  const bool begun =
      list && from && to && X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
      X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(authority.get())) == 1 &&
      ASN1_TIME_adj(from.get(), lists_from_seconds, 0, static_cast<long>(number)) != nullptr &&
      ASN1_TIME_set_string_X509(to.get(), valid_to) == 1 &&
      X509_CRL_set1_lastUpdate(list.get(), from.get()) == 1 &&
      X509_CRL_set1_nextUpdate(list.get(), to.get()) == 1 &&
      add_list_extensions(list.get(), authority.get(), number);
  if (!begun) return openssl_failed("making a list of revoked certificates");
  for (const RevokedSerial& entry : revoked) OUTCROP_CHECK(add_revoked(list.get(), entry));
  X509_CRL_sort(list.get());
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  if (!bio || X509_CRL_sign(list.get(), native(authority_key), nullptr) <= 0 ||
      PEM_write_bio_X509_CRL(bio.get(), list.get()) != 1) {
    return openssl_failed("signing the list of revoked certificates");
  }
  return trust::text_of(bio.get());
}

}  // namespace outcrop::pki
