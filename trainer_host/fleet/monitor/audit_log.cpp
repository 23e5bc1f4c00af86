#include <algorithm>

#include "protocol/base/without_controls.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet::monitor {
namespace {

constexpr std::size_t longest_detail = 16 * 1024;
constexpr std::size_t most_entries = 1000;

Status check_limit(std::size_t limit) {
  if (limit >= 1 && limit <= most_entries) return {};
  return fail(ErrorCode::invalid_argument,
              "limit must be 1 to " + std::to_string(most_entries) + " entries");
}

}  // namespace

Status RegistryAuditLog::record(const std::string& who, const std::string& action,
                                const std::string& subject, const std::string& detail) {
  if (detail.size() > longest_detail) {
    return fail(ErrorCode::invalid_argument,
                "the detail of an entry of the audit log may have 16 KiB, not " +
                    ByteCount(detail.size()).human());
  }
  return registry_->transaction([&]() -> Status {
    OUTCROP_TRY(last, head());
    AuditEntry entry;
    entry.number = last ? last->number + 1 : 1;
    entry.time = clock_->now();
    entry.who = without_controls(who);
    entry.action = without_controls(action);
    entry.subject = without_controls(subject);
    entry.detail = detail;
    if (last) entry.before = last->hash;
    entry.hash = hash_of(entry);
    return registry_->append(entry);
  });
}

Result<AuditPage> RegistryAuditLog::page(std::optional<std::uint64_t> below, std::size_t limit,
                                         const std::string& subject, const std::string& action) {
  OUTCROP_CHECK(check_limit(limit));
  AuditPage page;
  OUTCROP_TRY(entries, registry_->audit_below(below.value_or(UINT64_MAX), limit + 1, subject, action));
  page.entries = std::move(entries);
  if (page.entries.size() > limit) {
    page.entries.pop_back();
    page.older = page.entries.back().number;
  }
  return page;
}

Result<std::vector<AuditEntry>> RegistryAuditLog::after(std::uint64_t number, std::size_t limit) {
  OUTCROP_CHECK(check_limit(limit));
  return registry_->audit_after(number, limit);
}

Result<std::optional<AuditEntry>> RegistryAuditLog::head() {
  OUTCROP_TRY(entries, registry_->audit_below(UINT64_MAX, 1, "", ""));
  if (entries.empty()) return std::optional<AuditEntry>();
  return std::optional(std::move(entries.front()));
}

Result<std::uint64_t> RegistryAuditLog::last() {
  OUTCROP_TRY(entry, head());
  return entry ? entry->number : 0;
}

}  // namespace outcrop::fleet::monitor
