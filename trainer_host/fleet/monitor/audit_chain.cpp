#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"

namespace outcrop::fleet::monitor {

trust::Sha256Digest hash_of(const AuditEntry& entry) {
  const auto seconds = static_cast<std::int64_t>(entry.time.time_since_epoch().count());
  return trust::sha256(json_text_to_hash(nlohmann::json::array(
      {entry.number, seconds, entry.who, entry.action, entry.subject, entry.detail, entry.before.hex()})));
}

Status ChainCheck::next(const AuditEntry& entry) {
  const std::string which = "entry " + std::to_string(entry.number) + " of the audit log";
  if (entry.number != number_ + 1) {
    return fail(ErrorCode::untrusted, which + " comes after entry " + std::to_string(number_) +
                                          ": what was between them is gone");
  }
  if (entry.before != head_) {
    return fail(ErrorCode::untrusted,
                which + " does not go on from the one before, which was changed or put in");
  }
  if (hash_of(entry) != entry.hash) {
    return fail(ErrorCode::untrusted, which + " was changed: its hash is not that of its words");
  }
  number_ = entry.number;
  head_ = entry.hash;
  return {};
}

}  // namespace outcrop::fleet::monitor
