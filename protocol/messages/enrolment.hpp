#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/version.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::messages {

// How a board gets its identity (SCHEMA.md, "Enrolment"). Two files that a person carries, by ssh
// say.

inline constexpr int enrolment_proved_since = 6;  // the protocol
inline constexpr ByteCount enrolment_limit = ByteCount::mib(2);

// From the board: its certificate request, authorized by a one-time token that only the host and
// this board know.
struct EnrolmentRequest {
  std::string token_id;             // which token
  std::string certificate_request;  // PKCS #10 in PEM
  trust::Sha256Digest mac;          // HMAC-SHA256 of that PEM under the token's secret
  int protocol = protocol_version;  // the answer is in it: boards of before answers were proved take no other
  bool operator==(const EnrolmentRequest&) const = default;
};

// From the host: who the board is, and whom it trusts.
struct EnrolmentBundle {
  std::string device;
  std::string model;
  std::string device_class;
  std::string certificate;       // of the board, PEM
  std::string broker_authority;  // PEM; vouches for the broker
  std::string broker_host;
  std::uint16_t broker_port = 8883;
  trust::Sha256Digest root;   // of the envelope below
  std::string root_envelope;  // the root metadata to pin
  int protocol = protocol_version;
  // From enrolment_proved_since on: what the host's roles have come to, and when. A new board takes nothing older.
  std::map<std::string, std::uint64_t> versions;
  std::optional<Timestamp> time;
  // ... and that this is the answer of whoever granted the token: trust::token_mac of unproved_text under its answer_key.
  trust::Sha256Digest mac;
  bool operator==(const EnrolmentBundle&) const = default;
};

[[nodiscard]] std::string to_json(const EnrolmentRequest& request);
[[nodiscard]] Result<EnrolmentRequest> parse_enrolment_request(std::string_view text);
[[nodiscard]] std::string to_json(const EnrolmentBundle& bundle);
// Without its `mac`.
[[nodiscard]] std::string unproved_text(const EnrolmentBundle& bundle);
// untrusted where the root's digest is not that of its envelope.
[[nodiscard]] Result<EnrolmentBundle> parse_enrolment_bundle(std::string_view text);

}  // namespace outcrop::messages
