#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::pki {

// A small certificate authority (X.509 v3, Ed25519, by OpenSSL): one for boards, whose key lives
// with whoever enrols them, and one that outcropd makes for its broker and for itself.
//
//   authority.key, authority.pem     mode 0600 and 0644
//   revoked.pem                      its list of revoked certificates (CRL), empty at first
//   revoked.json                     serial, common name, reason, time
//
// Everything it signs is valid from 2020 (boards without a clock must find it valid) to 2120.
class Authority {
 public:
  // Opens the folder, or makes key, certificate and an empty CRL where it is empty or missing.
  [[nodiscard]] static Result<Authority> open_or_make(const std::filesystem::path& folder,
                                                      std::string_view common_name);
  [[nodiscard]] static Result<Authority> open(const std::filesystem::path& folder);

  enum class Usage { client, server };
  struct Subject {
    std::string common_name;
    // Server: DNS names and IP addresses it may be reached by. Client: empty; the common name is
    // put there, too.
    std::vector<std::string> alternative_names;
    Usage usage = Usage::client;
  };
  // A certificate in PEM. Nothing but the public key is taken from whoever asks. Serials are random
  // (159 bits).
  [[nodiscard]] Result<std::string> issue(const Subject& subject,
                                          const trust::PublicKey& key) const;

  // Writes a new CRL first, then returns it. Revoking twice changes nothing.
  [[nodiscard]] Result<std::string> revoke(std::string_view certificate_pem,
                                           std::string_view reason, Timestamp now) const;

  [[nodiscard]] const std::string& certificate() const { return certificate_; }  // PEM
  [[nodiscard]] Result<std::string> revocation_list() const;                     // PEM
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  Authority(std::filesystem::path folder, trust::PrivateKey key, std::string certificate)
      : folder_(std::move(folder)), key_(std::move(key)), certificate_(std::move(certificate)) {}
  std::filesystem::path folder_;
  trust::PrivateKey key_;
  std::string certificate_;
};

struct CertificateInfo {
  std::string common_name;
  trust::PublicKey key;
  std::string serial;  // hexadecimal
};
// invalid_data for what is no certificate or has no Ed25519 key.
[[nodiscard]] Result<CertificateInfo> read_certificate(std::string_view pem);
// untrusted where it is not signed by that authority.
[[nodiscard]] Status check_issued_by(std::string_view certificate_pem,
                                     std::string_view authority_pem);
// The public key of a PKCS #10 request whose self-signature holds.
[[nodiscard]] Result<trust::PublicKey> read_certificate_request(std::string_view pem);

}  // namespace outcrop::pki
