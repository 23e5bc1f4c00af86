#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/metadata/clock_guard.hpp"
#include "trainer_host/fleet/metadata/role_set.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

struct MetadataOptions {
  std::filesystem::path root;           // a root's envelope, trusted because the owner named it
  std::filesystem::path timestamp_key;  // PEM, read each time something is signed, so that a new
  std::filesystem::path snapshot_key;   // key needs no restart
  std::filesystem::path director_key;   // not asked for where the root names no director
  std::chrono::days timestamp_validity{7};
  bool believe_clock = false;  // also one that nobody keeps right
  std::function<bool()> clock_synchronised = [] { return true; };
};

// The signed metadata of the fleet: what was submitted, verified from this host's own root on, and
// snapshot and timestamp, which it signs. Everything is in the registry before it is returned to
// be published; versions only rise, across restarts, too. Those of timestamp are at least the time
// in seconds, so that they rise over those of a state that is restored from a backup later.
class MetadataKeeper {
 public:
  // Errors: those of check(). Then it is what the registry holds that counts; keys that a newer
  // root names while it runs may come later.
  [[nodiscard]] static Result<MetadataKeeper> open(Registry& registry, const Clock& clock,
                                                   MetadataOptions options);

  // What open() would refuse, with nothing changed: a root that cannot be read, or with which the
  // chain of roots that is stored does not agree (untrusted: the registry is another fleet's, or
  // roots between are missing); a key file that cannot be read, or whose key the newest root does
  // not name for its role (untrusted). `stored` is Registry::metadata(). Returns the roles.
  [[nodiscard]] static Result<RoleSet> check(const MetadataOptions& options,
                                             const RoleEnvelopes& stored);

  // Verifies, stores, signs what follows from it; returns what is to be published. Errors as of
  // RoleSet::take(), and then nothing has changed.
  [[nodiscard]] Result<RoleEnvelopes> accept(const MetadataSubmission& submission);
  // The roles as they would be, without taking anything.
  [[nodiscard]] Result<RoleSet> preview(const MetadataSubmission& submission) const;

  // Goes back to what the registry holds, where a commit of what was taken here failed.
  [[nodiscard]] Status read_again();

  // Signs what is due: timestamp after a day and whenever snapshot changed; nothing by a clock that
  // leapt (ClockGuard). To be called now and then.
  [[nodiscard]] Result<RoleEnvelopes> refresh();

  // A board has seen this version of snapshot: what is signed from now on lies above it. Returns
  // what is to be published.
  [[nodiscard]] Result<RoleEnvelopes> sign_above(std::uint64_t snapshot);

  // Whether the time may be signed or told as right, by whoever does (ClockGuard). Errors: refused.
  [[nodiscard]] Status check_clock();

  [[nodiscard]] const RoleSet& roles() const { return roles_; }
  // 0 before anything was released.
  [[nodiscard]] std::uint64_t snapshot_version() const;
  // Why snapshot and timestamp could not be signed; empty while all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  MetadataKeeper(Registry& registry, const Clock& clock, MetadataOptions options, RoleSet roles)
      : registry_(&registry),
        clock_(&clock),
        options_(std::move(options)),
        guard_(options_.clock_synchronised, options_.believe_clock),
        roles_(std::move(roles)) {}
  [[nodiscard]] Result<bool> sign_snapshot(RoleSet& roles) const;
  [[nodiscard]] Result<bool> sign_timestamp(RoleSet& roles) const;
  [[nodiscard]] Status sign(RoleSet& roles, RoleEnvelopes& changed);
  [[nodiscard]] Status store(const RoleSet& roles, const RoleEnvelopes& changed);

  Registry* registry_;
  const Clock* clock_;
  MetadataOptions options_;
  ClockGuard guard_;
  RoleSet roles_;
  std::string problem_;
};

}  // namespace outcrop::fleet
