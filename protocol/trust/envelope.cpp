#include "protocol/trust/envelope.hpp"

#include <utility>
#include <vector>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/base64.hpp"

namespace outcrop::trust {
namespace {

using messages::Json;
using messages::ObjectReader;

struct Signature {
  KeyId key;
  Bytes bytes;
};

struct Envelope {
  std::string type;
  Bytes payload;
  std::vector<Signature> signatures;
};

Bytes read_base64(ObjectReader& reader, std::string_view key) {
  auto bytes = from_base64(reader.text(key, envelope_limit.value()));
  if (!bytes) {
    reader.refuse(key, bytes.error().message());
    return {};
  }
  return std::move(*bytes);
}

Result<Envelope> parse_envelope(std::string_view text, std::string_view kind) {
  const std::string what = std::string(kind) + " envelope";
  OUTCROP_TRY(json, messages::parse_object(text, envelope_limit, what));
  ObjectReader reader(json, what);
  Envelope envelope;
  envelope.type = reader.text("payloadType");
  envelope.payload = read_base64(reader, "payload");
  std::set<KeyId> seen;
  reader.objects("signatures", 0, most_signatures, [&](ObjectReader& element) {
    Signature signature{element.digest("keyid"), read_base64(element, "sig")};
    element.done();
    if (element.ok() && !seen.insert(signature.key).second) {
      element.refuse("keyid", "signs twice");
    }
    envelope.signatures.push_back(std::move(signature));
  });
  reader.done();
  OUTCROP_CHECK(reader.status());
  if (envelope.type != payload_type(kind)) {
    return fail(ErrorCode::untrusted, what + ": its payload type is '" + envelope.type +
                                          "', but should be '" + payload_type(kind) + "'");
  }
  return envelope;
}

std::string envelope_text(std::string_view kind, BytesView payload, const Json& signatures) {
  return json_text(
      Json{{"payload", to_base64(payload)}, {"payloadType", payload_type(kind)}, {"signatures", signatures}});
}

}  // namespace

std::string payload_type(std::string_view kind) {
  return "application/vnd.outcrop." + std::string(kind) + "+json";
}

Bytes pre_authentication_encoding(std::string_view type, BytesView body) {
  Bytes encoding = to_bytes("DSSEv1 " + std::to_string(type.size()) + " " + std::string(type) +
                            " " + std::to_string(body.size()) + " ");
  encoding.insert(encoding.end(), body.begin(), body.end());
  return encoding;
}

std::string sign_envelope(std::string_view kind, BytesView payload,
                          std::span<const PrivateKey> keys) {
  const Bytes encoding = pre_authentication_encoding(payload_type(kind), payload);
  Json signatures = Json::array();
  for (const PrivateKey& key : keys) {
    signatures.push_back(
        {{"keyid", key.public_key().id().hex()}, {"sig", to_base64(key.sign(encoding))}});
  }
  return envelope_text(kind, payload, signatures);
}

std::string write_envelope(std::string_view kind, BytesView payload, const Signatures& signatures) {
  Json list = Json::array();
  for (const auto& [key, signature] : signatures) {
    list.push_back({{"keyid", key.hex()}, {"sig", to_base64(signature)}});
  }
  return envelope_text(kind, payload, list);
}

Result<Signatures> unverified_signatures(std::string_view text, std::string_view kind) {
  OUTCROP_TRY(envelope, parse_envelope(text, kind));
  Signatures signatures;
  for (Signature& signature : envelope.signatures) signatures.emplace(signature.key, std::move(signature.bytes));
  return signatures;
}

Result<VerifiedPayload> verify_envelope(std::string_view text, std::string_view kind,
                                        const Signers& signers) {
  OUTCROP_TRY(envelope, parse_envelope(text, kind));
  const auto untrusted = [&](const std::string& why) {
    return fail(ErrorCode::untrusted, std::string(kind) + ": " + why);
  };
  if (envelope.signatures.empty()) return untrusted("not signed");
  const Bytes encoding = pre_authentication_encoding(envelope.type, envelope.payload);
  std::set<KeyId> good;
  for (const Signature& signature : envelope.signatures) {
    const auto key = signers.keys.find(signature.key);
    if (key == signers.keys.end()) continue;
    if (!key->second.verifies(encoding, signature.bytes)) {
      return untrusted("the signature by key " + signature.key.short_hex() +
                       " does not hold: the document or the signature was changed");
    }
    good.insert(signature.key);
  }
  if (good.empty()) {
    return untrusted("signed by key " + envelope.signatures.front().key.short_hex() +
                     ", which the role " + signers.role + " does not name");
  }
  if (good.size() < signers.threshold || signers.threshold == 0) {
    return untrusted("signed by " + std::to_string(good.size()) + " of the " +
                     std::to_string(signers.threshold) + " keys that the role " + signers.role +
                     " asks for");
  }
  return VerifiedPayload(std::move(envelope.payload), std::string(kind), std::move(good));
}

Result<Bytes> unverified_payload(std::string_view text, std::string_view kind) {
  OUTCROP_TRY(envelope, parse_envelope(text, kind));
  return std::move(envelope.payload);
}

}  // namespace outcrop::trust
