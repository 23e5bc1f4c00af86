#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/freshness.hpp"
#include "protocol/trust/trusted_roles.hpp"

namespace outcrop::agent {

// What this board believes about which releases are good: the roots it followed, the newest
// consistent set of roles, version floors and a time floor, all on disk (<state>/metadata/) before
// they count. Envelopes arrive one by one in any order, from a broker that may lose, repeat, replay
// or hold back; each is kept as a candidate until a whole consistent set verifies:
// root → timestamp → snapshot → targets, revoked, stage-<model>. (TUF's client workflow,
// theupdateframework.github.io/specification, section 5, except that the time floor
// replaces a clock where there is none.)
class MetadataStore {
 public:
  // `root_envelope` is pinned at enrolment and used on the first start only; later the newest root
  // that was followed. `clock_synchronised` says whether the clock may be believed.
  [[nodiscard]] static Result<MetadataStore> open(const std::filesystem::path& folder,
                                                  std::string_view root_envelope,
                                                  std::string_view model, const Clock& clock,
                                                  std::function<bool()> clock_synchronised);
  MetadataStore(MetadataStore&&) noexcept;
  MetadataStore& operator=(MetadataStore&&) noexcept;
  ~MetadataStore();

  // An envelope of meta/<role> ("root/2", "targets", "timestamp", ...). Returns whether the
  // consistent set changed. A failure says why this envelope cannot count (wrong key, lower
  // version, expired time far in the future is kept out by expiry of root and targets, ...) and
  // changes nothing. A revoked list that verifies counts at once, before the rest of its set is
  // there.
  [[nodiscard]] Result<bool> accept(std::string_view role, std::string_view envelope);

  [[nodiscard]] std::uint64_t root_version() const;
  [[nodiscard]] std::uint64_t snapshot_version() const;  // 0: no consistent set yet
  // Since the newest timestamp role was received whose version rose; the age that reports carry.
  [[nodiscard]] std::chrono::seconds age() const;
  // The later of floor and (synchronised) clock; the floor is moved by verified metadata only and
  // never beyond the expiry of root and targets.
  [[nodiscard]] Timestamp now() const;
  [[nodiscard]] bool clock_synchronised() const;

  // Whether the release may be installed now: listed, not revoked, nothing expired, and the set is
  // of `snapshot_version` or later (else `not_found`: wait for metadata). Errors: expired, revoked,
  // untrusted (not listed any more), not_found.
  [[nodiscard]] Result<trust::PermittedRelease> check_install(const trust::Sha256Digest& manifest,
                                                              std::uint64_t snapshot_version) const;
  // Whether it may run or be returned to: only revocation forbids it.
  [[nodiscard]] Status check_run(const trust::Sha256Digest& manifest) const;

 private:
  class Impl;
  explicit MetadataStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
