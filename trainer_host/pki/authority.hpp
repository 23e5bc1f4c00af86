#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::pki {

// A small certificate authority (X.509 v3, Ed25519, by OpenSSL): one for boards, whose key lives
// with whoever enrols them, and one that outcropd makes for its broker and for itself.
//
//   authority.key, authority.pem     mode 0600 and 0644
//   revoked.json                     serial, common name, reason and time of what is revoked
//   revoked.pem                      the same as a signed list (CRL), empty at first
//
// Certificates that it signs are valid from 1970 (boards whose clock begins there must find them valid) to 2120.
class Authority {
 public:
  // Opens the folder, or makes key, certificate and an empty CRL where it is missing or has none.
  // A call that was killed in between is completed by the next.
  [[nodiscard]] static Result<Authority> open_or_make(const std::filesystem::path& folder,
                                                      std::string_view common_name);
  // not_found where there is no authority; untrusted where key and certificate differ.
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

  // Writes a new CRL first, then returns it. Revoking twice changes nothing. untrusted where the
  // certificate is another authority's.
  [[nodiscard]] Result<std::string> revoke(std::string_view certificate_pem,
                                           std::string_view reason, Timestamp now) const;

  [[nodiscard]] Result<bool> is_revoked(std::string_view certificate_pem) const;

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

using trust::CertificateInfo;
using trust::check_issued_by;
using trust::read_certificate;
using trust::read_certificate_request;

}  // namespace outcrop::pki
