#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

namespace outcrop::trust {

// Owners of OpenSSL's objects. For .cpp files that call OpenSSL only.
struct FreeOpenSsl {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  void operator()(X509_CRL* list) const { X509_CRL_free(list); }
  void operator()(X509_REVOKED* entry) const { X509_REVOKED_free(entry); }
  void operator()(X509_NAME* name) const { X509_NAME_free(name); }
  void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
  // Integers, times and octet strings, too: one type under several names.
  void operator()(ASN1_STRING* value) const { ASN1_STRING_free(value); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeOpenSsl>;

// The reason OpenSSL gives, and an empty error queue for the next caller.
inline std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

// A PEM that needs a password must fail, not ask on the terminal of a service.
inline int refuse_password(char*, int, int, void*) {
  return -1;
}

inline Owned<BIO> read_only_bio(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

inline std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(length)};
}

// Of a certificate: hexadecimal, lower case.
inline std::string serial_text(const ASN1_INTEGER* serial) {
  const Owned<BIGNUM> number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* raw = number ? BN_bn2hex(number.get()) : nullptr;
  std::string text = raw == nullptr ? "" : raw;
  OPENSSL_free(raw);
  for (char& digit : text) {
    if (digit >= 'A' && digit <= 'F') digit = static_cast<char>(digit - 'A' + 'a');
  }
  return text;
}

}  // namespace outcrop::trust
