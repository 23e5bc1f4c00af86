#include "trainer_host/release/request_words.hpp"

#include <algorithm>
#include <vector>

#include "protocol/trust/envelope.hpp"
#include "protocol/trust/role_codec.hpp"

namespace outcrop::release {
namespace {

// A document as lines that can be compared: `what` names one, and stands once.
struct Fact {
  std::string what;
  std::string value;  // "" where `what` says all
};
struct Facts {
  std::string title;
  trust::RoleHeader header;
  std::vector<Fact> lines;
  [[nodiscard]] const Fact* find(const std::string& what) const {
    const auto found = std::find_if(lines.begin(), lines.end(), [&](const Fact& fact) { return fact.what == what; });
    return found == lines.end() ? nullptr : &*found;
  }
};

void add_role(Facts& facts, const std::string& role, const trust::RoleKeys& keys) {
  facts.lines.push_back({"threshold of " + role, std::to_string(keys.threshold)});
  for (const trust::KeyId& id : keys.keyids) facts.lines.push_back({"key of " + role + " " + id.hex(), ""});
}

Facts facts_of(const trust::RootMetadata& root) {
  Facts facts{"root", root, {}};
  for (const auto& [role, keys] : root.roles) add_role(facts, role, keys);
  return facts;
}
Facts facts_of(const trust::TargetsMetadata& targets) {
  Facts facts{"targets", targets, {}};
  for (const trust::Delegation& delegation : targets.delegations) add_role(facts, trust::stage_role(delegation.model), delegation.keys);
  return facts;
}
Facts facts_of(const trust::RevokedMetadata& revoked) {
  Facts facts{"revoked", revoked, {}};
  const auto add = [&](const char* what, const std::vector<trust::Revocation>& entries) {
    for (const trust::Revocation& entry : entries) {
      facts.lines.push_back({std::string(what) + " " + entry.what.hex(), entry.reason + ", " + to_rfc3339(entry.time)});
    }
  };
  add("release", revoked.manifests);
  add("stage key", revoked.keys);
  return facts;
}
Facts facts_of(const trust::StageMetadata& stage) {
  Facts facts{trust::stage_role(stage.model), stage, {}};
  for (const trust::PermittedRelease& release : stage.releases) {
    facts.lines.push_back({"manifest " + release.manifest.hex(),
                           "stage " + std::to_string(release.stage) + ", epoch " + std::to_string(release.epoch)});
  }
  return facts;
}

template <class Role>
Result<Facts> facts_in(std::string_view envelope) {
  OUTCROP_TRY(payload, trust::unverified_payload(envelope, Role::kind));
  return trust::parse_role<Role>(payload).map([](const Role& role) { return facts_of(role); });
}
Result<Facts> read_facts(std::string_view kind, std::string_view envelope) {
  if (kind == trust::RootMetadata::kind) return facts_in<trust::RootMetadata>(envelope);
  if (kind == trust::TargetsMetadata::kind) return facts_in<trust::TargetsMetadata>(envelope);
  if (kind == trust::RevokedMetadata::kind) return facts_in<trust::RevokedMetadata>(envelope);
  return facts_in<trust::StageMetadata>(envelope);
}

std::string in_words(const Fact& fact) {
  return fact.value.empty() ? fact.what : fact.what + ": " + fact.value;
}

std::string marked(const Fact& fact, const Fact* before) {
  if (before == nullptr) return "  + " + in_words(fact) + "\n";
  if (before->value == fact.value) return "    " + in_words(fact) + "\n";
  return "  ! " + in_words(fact) + " (before: " + before->value + ")\n";
}

std::string whole(const Facts& facts) {
  std::string text = facts.title + " version " + std::to_string(facts.header.version) + ", valid until " +
                     to_rfc3339(facts.header.expires) + ", with nothing before it to compare with\n";
  for (const Fact& fact : facts.lines) text += "    " + in_words(fact) + "\n";
  return text;
}

std::string compared(const Facts& facts, const Facts& before) {
  const bool as_long = facts.header.expires == before.header.expires;
  std::string text = facts.title + " version " + std::to_string(facts.header.version) + " (before: " +
                     std::to_string(before.header.version) + "), valid until " + to_rfc3339(facts.header.expires) +
                     (as_long ? " as before" : " (before: " + to_rfc3339(before.header.expires) + ")") + "\n";
  for (const Fact& fact : facts.lines) text += marked(fact, before.find(fact.what));
  for (const Fact& gone : before.lines) {
    if (facts.find(gone.what) == nullptr) text += "  - " + in_words(gone) + "\n";
  }
  return text;
}

}  // namespace

Result<std::string> request_words(std::string_view kind, std::string_view envelope, std::string_view before) {
  OUTCROP_TRY(facts, read_facts(kind, envelope));
  if (before.empty()) return whole(facts);
  OUTCROP_TRY(earlier, read_facts(kind, before));
  return compared(facts, earlier);
}

}  // namespace outcrop::release
