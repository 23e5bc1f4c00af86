#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/verify/expiry.hpp"
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
  // `root_envelope` is pinned at enrolment and used on the first start only, as `versions` and `time` are, below which
  // nothing is believed; later the newest root that was followed. Another one than on the first start is a new enrolment: trust begins
  // anew, and so it does where the state and its spare are damaged: nothing is installed before the
  // host's metadata have come again. `clock_synchronised` says whether the clock may be believed.
  // Errors: unsupported where the state is of a newer agent, invalid_data or untrusted where the
  // root of the enrolment is no good.
  [[nodiscard]] static Result<MetadataStore> open(const std::filesystem::path& folder,
                                                  std::string_view root_envelope,
                                                  std::string_view model, const Clock& clock,
                                                  std::function<bool()> clock_synchronised,
                                                  const std::map<std::string, std::uint64_t>& versions = {},
                                                  std::optional<Timestamp> time = {});
  // What is wrong with the state on the disk: since the start, or since it takes nothing.
  [[nodiscard]] std::optional<std::string> trouble() const;

  MetadataStore(MetadataStore&&) noexcept;
  MetadataStore& operator=(MetadataStore&&) noexcept;
  ~MetadataStore();

  // An envelope of meta/<role> ("root/2", "targets", "timestamp", ...). Returns whether anything
  // that the questions below are answered from changed: root, set or revoked list. A failure
  // says why this envelope cannot count (wrong key, lower version, signed in the future, a full
  // disk) and changes nothing; it is kept aside, since a root that is still to come may vouch for
  // it. A revoked list that verifies counts at once, before the rest of its set is there, and even
  // where the disk takes nothing: then until the agent ends. A root that gives a role keys which do
  // not vouch for what is known lets its versions begin anew, and the time floor with those of
  // timestamp; what the old keys signed counts no more, except the revoked list, until the new keys
  // have signed one.
  [[nodiscard]] Result<bool> accept(std::string_view role, std::string_view envelope);

  // Whether this very envelope is what is believed of its role.
  [[nodiscard]] bool counts(std::string_view role, std::string_view envelope) const;

  [[nodiscard]] std::uint64_t root_version() const;
  [[nodiscard]] std::uint64_t snapshot_version() const;  // 0: no consistent set yet
  [[nodiscard]] std::uint64_t stage_version() const;  // of the model's list, below which none is taken; 0: none yet
  // Since the newest timestamp role that counted was signed, or, without a synchronised clock,
  // since it came; 0 before the first. The age that reports carry.
  [[nodiscard]] std::chrono::seconds age() const;
  // The later of floor and (synchronised) clock; the floor is moved by verified metadata only and
  // never beyond the expiry of root and targets.
  [[nodiscard]] Timestamp now() const;
  [[nodiscard]] bool clock_synchronised() const;
  // Of the roles that are believed; the first to end comes first.
  [[nodiscard]] std::vector<Expiry> expiries() const;
  // Who must sign commands; none where the root names no director, as before protocol 5.
  [[nodiscard]] std::optional<trust::Signers> director() const;
  // The keys of targets, which are not on the host.
  [[nodiscard]] trust::Signers owners() const;

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
