#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::trust {

// DSSE envelopes over exact bytes (github.com/secure-systems-lab/dsse, protocol.md, v1.0.2);
// SCHEMA.md, "Envelope".

inline constexpr ByteCount envelope_limit = ByteCount::mib(1);
inline constexpr std::size_t most_signatures = 16;

// "application/vnd.outcrop.<kind>+json".
[[nodiscard]] std::string payload_type(std::string_view kind);

// What is signed: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body.
[[nodiscard]] Bytes pre_authentication_encoding(std::string_view type, BytesView body);

// The envelope over `payload`, signed by every key.
[[nodiscard]] std::string sign_envelope(std::string_view kind, BytesView payload,
                                        std::span<const PrivateKey> keys);

// The keys whose signatures count and how many of them must be there.
struct Signers {
  std::string role;  // for messages: "targets", "stage-curvefault"
  std::map<KeyId, PublicKey> keys;
  std::uint64_t threshold = 1;
};

// Bytes that enough of the right keys have signed as a document of one kind. Only
// verify_envelope makes one, and the parsers of signed documents take nothing else: nothing is
// parsed before it was verified.
class VerifiedPayload {
 public:
  [[nodiscard]] BytesView bytes() const { return bytes_; }
  [[nodiscard]] const std::string& kind() const { return kind_; }
  // Who signed, among the keys that were asked for.
  [[nodiscard]] const std::set<KeyId>& signers() const { return signers_; }

 private:
  friend Result<VerifiedPayload> verify_envelope(std::string_view envelope, std::string_view kind,
                                                 const Signers& signers);
  VerifiedPayload(Bytes bytes, std::string kind, std::set<KeyId> signers)
      : bytes_(std::move(bytes)), kind_(std::move(kind)), signers_(std::move(signers)) {}

  Bytes bytes_;
  std::string kind_;
  std::set<KeyId> signers_;
};

// Errors: invalid_data where it is not an envelope (or above 1 MiB); untrusted where it is of
// another kind, has no signature, none by a key of the role, one that does not hold, or fewer
// than the threshold.
[[nodiscard]] Result<VerifiedPayload> verify_envelope(std::string_view envelope,
                                                      std::string_view kind,
                                                      const Signers& signers);

// Signatures by key, not looked at: for documents that wait for more of them.
using Signatures = std::map<KeyId, Bytes>;
[[nodiscard]] Result<Signatures> unverified_signatures(std::string_view envelope, std::string_view kind);
[[nodiscard]] std::string write_envelope(std::string_view kind, BytesView payload, const Signatures& signatures);

// The payload of an envelope that nobody vouches for yet: for the one document that names its own
// keys, the first root (roles.hpp), and for showing what was refused.
[[nodiscard]] Result<Bytes> unverified_payload(std::string_view envelope, std::string_view kind);

}  // namespace outcrop::trust
