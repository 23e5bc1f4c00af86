#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/monitor/history.hpp"

namespace outcrop::fleet {
class Registry;
}

namespace outcrop::fleet::monitor {

// SHA-256 of the entry as text: a JSON array of number, time (seconds since 1970), who, action, subject,
// detail and `before`, in this order, without blanks. `hash` is not in it.
[[nodiscard]] trust::Sha256Digest hash_of(const AuditEntry& entry);

// Goes over entries in their order, in pieces. An entry that was changed, removed or put in shows, and so does
// a new chain from there on where its end is compared with one that was noted before (`outcrop fleet audit`).
class ChainCheck {
 public:
  // untrusted, naming the first entry that is not as it was written.
  [[nodiscard]] Status next(const AuditEntry& entry);
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] const trust::Sha256Digest& head() const { return head_; }

 private:
  std::uint64_t number_ = 0;
  trust::Sha256Digest head_;
};

// The audit log of a registry: an entry stands or falls with the transaction that it is written in, so that
// what was decided and what is told of it are the same.
class RegistryAuditLog final : public AuditLog {
 public:
  RegistryAuditLog(Registry& registry, const Clock& clock) : registry_(&registry), clock_(&clock) {}

  // `detail`: a JSON object, at most 16 KiB (invalid_argument beyond). Texts lose their control characters.
  [[nodiscard]] Status record(const std::string& who, const std::string& action,
                              const std::string& subject, const std::string& detail = "{}");

  [[nodiscard]] Result<AuditPage> page(std::optional<std::uint64_t> below, std::size_t limit,
                                       const std::string& subject,
                                       const std::string& action) override;
  [[nodiscard]] Result<std::vector<AuditEntry>> after(std::uint64_t number,
                                                      std::size_t limit) override;
  [[nodiscard]] Result<std::uint64_t> last() override;
  // The last entry; none before the first.
  [[nodiscard]] Result<std::optional<AuditEntry>> head();

 private:
  Registry* registry_;
  const Clock* clock_;
};

}  // namespace outcrop::fleet::monitor
