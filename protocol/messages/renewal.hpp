#pragma once

#include <string>
#include <string_view>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// A board's next key, and then the certificate of it by which the board has connected (SCHEMA.md, "Renewal"). In an
// envelope signed by the board's key and by the next one; parse the verified payload only.

inline constexpr ByteCount renewal_limit = ByteCount::kib(128);
inline constexpr ByteCount longest_certificate = ByteCount::kib(16);
inline constexpr std::string_view renewal_kind = "renewal";  // of its envelope

struct Renewal {
  DeviceHeader header;
  std::string certificate_request;  // PEM, of the next key
  std::string certificate;          // PEM; "" while there is none
  bool operator==(const Renewal&) const = default;
};

[[nodiscard]] std::string to_json(const Renewal& renewal);
[[nodiscard]] Result<Renewal> parse_renewal(BytesView verified);

}  // namespace outcrop::messages
