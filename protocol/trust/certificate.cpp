#include "protocol/trust/certificate.hpp"

#include <ctime>

#include "protocol/trust/openssl.hpp"

namespace outcrop::trust {
namespace {

Result<PublicKey> public_key(EVP_PKEY* key, std::string_view whose) {
  Bytes bytes(ed25519_key_size);
  std::size_t length = bytes.size();
  if (key == nullptr || EVP_PKEY_is_a(key, "ED25519") != 1 ||
      EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &length) !=
          1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid_data, std::string(whose) + " has no Ed25519 key");
  }
  return PublicKey::from_bytes(bytes);
}

Result<Owned<X509>> parse_certificate(std::string_view pem) {
  const Owned<BIO> bio = read_only_bio(pem);
  Owned<X509> certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, refuse_password, nullptr)
                              : nullptr);
  if (!certificate) {
    return fail(ErrorCode::invalid_data, "not a certificate in PEM: " + openssl_reason());
  }
  return certificate;
}

// Exactly one common name, so that two readers never see different ones.
Result<std::string> common_name(const X509* certificate) {
  const X509_NAME* name = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0) {
    return fail(ErrorCode::invalid_data, "a certificate must have exactly one common name");
  }
  unsigned char* text = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (length < 0) {
    return fail(ErrorCode::invalid_data, "the common name is no text: " + openssl_reason());
  }
  std::string result(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return result;
}

// By the calendar, not by time_t: certificates here end in 2120, and a board's may have 32 bits.
Result<Timestamp> time_of(const ASN1_TIME* time) {
  using namespace std::chrono;
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    return fail(ErrorCode::invalid_data, "a certificate's time is none: " + openssl_reason());
  }
  const year_month_day date(year(parts.tm_year + 1900),
                            month(static_cast<unsigned>(parts.tm_mon + 1)),
                            day(static_cast<unsigned>(parts.tm_mday)));
  return sys_days(date) + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
}

}  // namespace

Result<CertificateInfo> read_certificate(std::string_view pem) {
  OUTCROP_TRY(certificate, parse_certificate(pem));
  OUTCROP_TRY(key, public_key(X509_get0_pubkey(certificate.get()), "the certificate"));
  OUTCROP_TRY(name, common_name(certificate.get()));
  OUTCROP_TRY(not_before, time_of(X509_get0_notBefore(certificate.get())));
  OUTCROP_TRY(not_after, time_of(X509_get0_notAfter(certificate.get())));
  return CertificateInfo{std::move(name), key,
                         serial_text(X509_get0_serialNumber(certificate.get())), not_before,
                         not_after};
}

Status check_issued_by(std::string_view certificate_pem, std::string_view authority_pem) {
  OUTCROP_TRY(certificate, parse_certificate(certificate_pem));
  OUTCROP_TRY(authority, parse_certificate(authority_pem));
  const bool good = X509_check_issued(authority.get(), certificate.get()) == X509_V_OK &&
                    X509_verify(certificate.get(), X509_get0_pubkey(authority.get())) == 1;
  ERR_clear_error();
  if (!good) return fail(ErrorCode::untrusted, "the certificate is not signed by that authority");
  return {};
}

Result<std::string> make_certificate_request(const PrivateKey& key) {
  auto* const native = static_cast<EVP_PKEY*>(key.openssl());
  const Owned<X509_REQ> request(X509_REQ_new());
  const Owned<BIO> bio(BIO_new(BIO_s_mem()));
  // No digest: pure Ed25519 hashes by itself.
  if (!request || !bio || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), native) != 1 ||
      X509_REQ_sign(request.get(), native, nullptr) <= 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return fail(ErrorCode::internal, "making a certificate request: " + openssl_reason());
  }
  return text_of(bio.get());
}

Result<PublicKey> read_certificate_request(std::string_view pem) {
  const Owned<BIO> bio = read_only_bio(pem);
  const Owned<X509_REQ> request(
      bio ? PEM_read_bio_X509_REQ(bio.get(), nullptr, refuse_password, nullptr) : nullptr);
  if (!request) {
    return fail(ErrorCode::invalid_data, "not a certificate request in PEM: " + openssl_reason());
  }
  EVP_PKEY* const native = X509_REQ_get0_pubkey(request.get());
  OUTCROP_TRY(key, public_key(native, "the certificate request"));
  const bool good = X509_REQ_verify(request.get(), native) == 1;
  ERR_clear_error();
  if (!good) {
    return fail(
        ErrorCode::untrusted,
        "the certificate request is not signed by its own key; make a new one on the board");
  }
  return key;
}

}  // namespace outcrop::trust
