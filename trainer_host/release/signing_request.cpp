#include "trainer_host/release/signing_request.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/role_codec.hpp"
#include "trainer_host/release/request_words.hpp"

namespace outcrop::release {
namespace {

using messages::Json;
using messages::ObjectReader;
using trust::KeyId;
using trust::Signers;

constexpr std::string_view request_type = "outcrop-signing-request";
constexpr std::array<std::string_view, 4> kinds{"root", "targets", "revoked", "stage"};
constexpr std::size_t most_documents = kinds.size();

std::string short_ids(const std::set<KeyId>& ids) {
  std::string text;
  for (const KeyId& id : ids) text += (text.empty() ? "" : ", ") + id.short_hex();
  return text;
}

template <class Role>
Result<Role> payload_of(std::string_view envelope) {
  OUTCROP_TRY(payload, trust::unverified_payload(envelope, Role::kind));
  return trust::parse_role<Role>(payload);
}

using AllAsked = std::vector<SigningRequest::Asked>;

auto asked_of(const AllAsked& asked, const KeyId& key) {
  return std::find_if(asked.begin(), asked.end(), [&](const SigningRequest::Asked& one) { return one.signers.keys.contains(key); });
}

// Untrusted where a signature is by a key that is not asked for, or does not hold.
Status check_signature(const SigningRequest::Document& document, const AllAsked& asked, const KeyId& key, BytesView signature) {
  const auto by = asked_of(asked, key);
  if (by == asked.end()) {
    return fail(ErrorCode::untrusted, document.kind + ": signed by key " + key.short_hex() + ", which is not one of the role " +
                                          asked.front().signers.role);
  }
  OUTCROP_TRY(payload, trust::unverified_payload(document.envelope, document.kind));
  const Bytes encoding = trust::pre_authentication_encoding(trust::payload_type(document.kind), payload);
  if (by->signers.keys.at(key).verifies(encoding, signature)) return {};
  return fail(ErrorCode::untrusted, document.kind + ": the signature by key " + key.short_hex() +
                                        " does not hold: the document or the signature was changed");
}

Status add_signature(SigningRequest::Document& document, const KeyId& key, Bytes signature) {
  OUTCROP_TRY(payload, trust::unverified_payload(document.envelope, document.kind));
  OUTCROP_TRY(signatures, trust::unverified_signatures(document.envelope, document.kind));
  signatures.emplace(key, std::move(signature));
  document.envelope = trust::write_envelope(document.kind, payload, signatures);
  return {};
}

}  // namespace

Result<SigningRequest> SigningRequest::make(std::string root, std::string targets, std::vector<Document> documents, Before before) {
  OUTCROP_TRY(pinned, trust::TrustedRoot::pin(root));
  SigningRequest request(std::move(pinned), std::move(targets), std::move(documents), std::move(before));
  OUTCROP_CHECK(request.missing());
  return request;
}

Result<SigningRequest> SigningRequest::parse(std::string_view text) {
  const std::string what = "signing request";
  OUTCROP_TRY(json, messages::parse_object(text, signing_request_limit, what));
  OUTCROP_CHECK(messages::check_type(json, request_type, "protocol"));
  ObjectReader reader(json, what);
  reader.constant("type", request_type);
  (void)reader.integer("protocol", 1);
  const std::string root = reader.lines("root", trust::envelope_limit.value());
  const std::string targets = reader.lines("targets", trust::envelope_limit.value());
  Before before;
  if (reader.has("revoked")) before.revoked = reader.lines("revoked", trust::envelope_limit.value());
  if (reader.has("list")) before.list = reader.lines("list", trust::envelope_limit.value());
  std::vector<Document> documents;
  reader.objects("documents", 1, most_documents, [&](ObjectReader& element) {
    const std::size_t chosen = element.choice("kind", {"root", "targets", "revoked", "stage"});
    const std::string kind(kinds[chosen]);
    const bool twice = std::any_of(documents.begin(), documents.end(), [&](const Document& other) { return other.kind == kind; });
    if (element.ok() && twice) element.refuse("kind", "'" + kind + "' stands twice");
    documents.push_back({kind, element.lines("envelope", trust::envelope_limit.value())});
    element.done();
  });
  reader.done();
  OUTCROP_CHECK(reader.status());
  auto request = make(root, targets, std::move(documents), std::move(before));
  if (!request) return fail(request.error().context(what));
  return request;
}

std::string SigningRequest::to_json() const {
  Json documents = Json::array();
  for (const Document& document : documents_) {
    documents.push_back({{"kind", document.kind}, {"envelope", document.envelope}});
  }
  Json json{{"type", request_type},
            {"protocol", first_protocol},
            {"root", root_.envelope()},
            {"targets", targets_},
            {"documents", documents}};
  if (!before_.revoked.empty()) json["revoked"] = before_.revoked;
  if (!before_.list.empty()) json["list"] = before_.list;
  return json_text(json, 1);
}

// All of these have to sign. A root is signed by the keys of the one before and its own; what a new root stands
// beside, by the keys that it names.
Result<std::vector<SigningRequest::Asked>> SigningRequest::asked(const Document& document) const {
  const auto find = [&](std::string_view kind) {
    return std::find_if(documents_.begin(), documents_.end(), [&](const Document& other) { return other.kind == kind; });
  };
  if (document.kind == "stage") {
    OUTCROP_TRY(stage, payload_of<trust::StageMetadata>(document.envelope));
    const auto beside = find("targets");
    OUTCROP_TRY(targets, payload_of<trust::TargetsMetadata>(beside == documents_.end() ? targets_ : beside->envelope));
    const trust::Delegation* delegation = targets.delegation(stage.model);
    if (delegation == nullptr) {
      return fail(ErrorCode::untrusted, "targets delegates no key for the model '" + stage.model + "'");
    }
    return std::vector{Asked{trust::signers_of(trust::stage_role(stage.model), targets.keys, delegation->keys),
                             "targets version " + std::to_string(targets.version)}};
  }
  std::vector<Asked> asked;
  const auto by = [](const trust::RootMetadata& root) { return "root version " + std::to_string(root.version); };
  const auto next = find("root");
  if (next == documents_.end() || document.kind == "root") asked.push_back({root_.signers(document.kind), by(*root_)});
  if (next != documents_.end()) {
    OUTCROP_TRY(root, payload_of<trust::RootMetadata>(next->envelope));
    asked.push_back({trust::signers_of(document.kind, root.keys, root.roles.at(document.kind)), by(root)});
  }
  return asked;
}

Status SigningRequest::sign(const SigningKey& key) {
  bool known = false;
  bool signed_now = false;
  for (Document& document : documents_) {
    OUTCROP_TRY(asked_here, asked(document));
    if (asked_of(asked_here, key.id()) == asked_here.end()) continue;
    known = true;
    OUTCROP_TRY(signatures, trust::unverified_signatures(document.envelope, document.kind));
    if (signatures.contains(key.id())) continue;
    OUTCROP_TRY(payload, trust::unverified_payload(document.envelope, document.kind));
    OUTCROP_TRY(signature, key.sign(trust::pre_authentication_encoding(trust::payload_type(document.kind), payload)));
    OUTCROP_CHECK(add_signature(document, key.id(), std::move(signature)));
    signed_now = true;
  }
  if (!known) {
    return fail(ErrorCode::refused, "the key " + key.id().short_hex() + " is not one of those that this request asks for");
  }
  if (!signed_now) {
    return fail(ErrorCode::refused, "the key " + key.id().short_hex() + " has signed already; a key counts once");
  }
  return {};
}

Status SigningRequest::join(const SigningRequest& copy) {
  std::vector<Document> joined = documents_;
  std::set<KeyId> repeated;
  bool brings = false;
  const auto other = [] { return fail(ErrorCode::refused, "the copy is of another request: it signs other documents than those that wait here"); };
  if (copy.documents_.size() != joined.size()) return other();
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const Document& theirs = copy.documents_[i];
    if (theirs.kind != joined[i].kind) return other();
    OUTCROP_TRY(own_payload, trust::unverified_payload(joined[i].envelope, joined[i].kind));
    OUTCROP_TRY(their_payload, trust::unverified_payload(theirs.envelope, theirs.kind));
    if (own_payload != their_payload) return other();
    OUTCROP_TRY(asked_here, asked(joined[i]));
    OUTCROP_TRY(held, trust::unverified_signatures(joined[i].envelope, joined[i].kind));
    OUTCROP_TRY(signatures, trust::unverified_signatures(theirs.envelope, theirs.kind));
    for (const auto& [key, signature] : signatures) {
      OUTCROP_CHECK(check_signature(joined[i], asked_here, key, signature));
      if (held.contains(key)) {
        repeated.insert(key);
        continue;
      }
      brings = true;
      OUTCROP_CHECK(add_signature(joined[i], key, signature));
    }
  }
  if (!brings) {
    return fail(ErrorCode::refused, repeated.empty() ? "nobody has signed the copy"
                                                     : "the copy brings no signature that is not here already (" +
                                                           short_ids(repeated) + "); a key counts once");
  }
  documents_ = std::move(joined);
  return {};
}

Result<std::vector<std::string>> SigningRequest::missing() const {
  std::vector<std::string> words;
  for (const Document& document : documents_) {
    OUTCROP_TRY(asked_here, asked(document));
    OUTCROP_TRY(signatures, trust::unverified_signatures(document.envelope, document.kind));
    for (const auto& [key, signature] : signatures) {
      OUTCROP_CHECK(check_signature(document, asked_here, key, signature));
    }
    std::vector<std::string> said;  // by the root before and by the next one alike
    for (const Asked& one : asked_here) {
      const Signers& signers = one.signers;
      std::set<KeyId> others;
      std::uint64_t count = 0;
      for (const auto& [id, key] : signers.keys) signatures.contains(id) ? void(++count) : void(others.insert(id));
      if (count >= signers.threshold) continue;
      const std::uint64_t lacking = signers.threshold - count;
      const std::string asks = document.kind + " is signed by " + std::to_string(count) + " of the " + std::to_string(signers.threshold) +
                               " keys that the role " + signers.role + " asks for";
      const std::string who = "; " + std::to_string(lacking) + " of these " + (lacking == 1 ? "is" : "are") + " missing: " + short_ids(others);
      if (std::find(said.begin(), said.end(), asks + who) != said.end()) continue;
      said.push_back(asks + who);
      words.push_back(asks + " by " + one.by + who);
    }
  }
  return words;
}

std::string_view SigningRequest::before(std::string_view kind) const {
  if (kind == "root") return root_.envelope();
  if (kind == "targets") return targets_;
  return kind == "revoked" ? before_.revoked : before_.list;
}

// Whether the keys that signed the request's root have signed what it is compared with.
Status SigningRequest::check_before(const Document& document) const {
  OUTCROP_TRY(targets, trust::verify_targets(root_, targets_));
  if (document.kind == "revoked") OUTCROP_CHECK(trust::verify_revoked(root_, before_.revoked));
  if (document.kind != "stage") return {};
  OUTCROP_TRY(list, payload_of<trust::StageMetadata>(document.envelope));
  const trust::Delegation* delegation = targets->delegation(list.model);
  if (delegation == nullptr) return fail(ErrorCode::untrusted, "targets delegates no key for the model '" + list.model + "'");
  const Signers signers = trust::signers_of(trust::stage_role(list.model), targets->keys, delegation->keys);
  OUTCROP_CHECK(trust::verify_envelope(before_.list, document.kind, signers));
  return {};
}

Result<std::string> SigningRequest::in_words() const {
  std::string text = "under root version " + std::to_string(root_->version) + ", sha256 " + root_.digest().hex() +
                     "\n+ new, - gone, ! changed, against what was signed before\n";
  for (const Document& document : documents_) {
    OUTCROP_TRY(words, request_words(document.kind, document.envelope, before(document.kind)));
    text += words;
    if (before(document.kind).empty()) continue;
    if (const Status held = check_before(document); !held) {
      text += "  what it is compared with is not signed as it should be now: " + held.error().message() + "\n";
    }
  }
  return text;
}

}  // namespace outcrop::release
