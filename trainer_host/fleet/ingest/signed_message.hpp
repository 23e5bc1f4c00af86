#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::fleet {

// A kind of message that boards sign.
template <typename Message>
struct SignedKind {
  std::string_view kind;  // of its envelope
  const char* noun;       // "layer times"
  ByteCount longest;      // envelope
  Result<Message> (*parse)(BytesView verified);
};

// Of an envelope around a message of so many bytes: in base64, with room for signature and field names.
constexpr ByteCount envelope_around(ByteCount message) { return ByteCount(message.value() / 3 * 4 + ByteCount::kib(4).value()); }

// Why a payload is not what a board signed.
struct NotSigned {
  enum class Fault { too_long, unsigned_by_it, malformed, of_another };
  Fault fault;
  std::string why;
};

// What this board signed. Looks at its length first, then at the signature, and at what it says only then.
template <typename Message>
[[nodiscard]] tl::expected<Message, NotSigned> read_signed(const SignedKind<Message>& kind, std::string_view payload, const std::string& board,
                                                           const trust::Signers& signers) {
  using Fault = NotSigned::Fault;
  const auto no = [](Fault fault, std::string why) { return tl::unexpected(NotSigned{fault, std::move(why)}); };
  if (payload.size() > kind.longest.value()) {
    return no(Fault::too_long, std::string(kind.noun) + " of " + ByteCount(payload.size()).human() + ", more than the " + kind.longest.human() + " allowed");
  }
  const auto verified = trust::verify_envelope(payload, kind.kind, signers);
  if (!verified) {
    return no(verified.error().code() == ErrorCode::untrusted ? Fault::unsigned_by_it : Fault::malformed, verified.error().message());
  }
  auto message = kind.parse(verified->bytes());
  if (!message) return no(Fault::malformed, message.error().message());
  if (message->header.device != board) {
    return no(Fault::of_another, std::string(kind.noun) + " in the name of '" + message->header.device + "'");
  }
  return std::move(*message);
}

}  // namespace outcrop::fleet
