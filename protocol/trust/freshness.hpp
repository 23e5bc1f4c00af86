#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::trust {

// Whether metadata is new enough to install by. Never asked before running or returning to a
// committed release.

// expired, naming role and time, from the second of `expires` on.
[[nodiscard]] Status check_expiry(std::string_view role, const RoleHeader& header, Timestamp now);

// The lowest version of each role that is still accepted: what a board or a host has seen before.
// A plain value, to be persisted by its owner.
class VersionFloors {
 public:
  VersionFloors() = default;
  explicit VersionFloors(std::map<std::string, std::uint64_t> versions)
      : versions_(std::move(versions)) {}

  // untrusted where the version is lower than one that was accepted before.
  [[nodiscard]] Status check(const std::string& role, std::uint64_t version) const;
  void raise(const std::string& role, std::uint64_t version);

  // Called when `next` replaces `before`: roles whose keys or threshold changed start anew, so
  // that a stolen key's last version does not outlive the key; but not where what is known of the
  // role still counts under `next`, as where a key is added: else an older document would count
  // again, a revoked list without the last revocations say. Where targets starts anew, so do the
  // stage roles below it.
  using StillCounts = std::function<bool(const std::string& role)>;
  void accept_root(const RootMetadata& before, const RootMetadata& next,
                   const StillCounts& still_counts);

  [[nodiscard]] const std::map<std::string, std::uint64_t>& versions() const { return versions_; }

 private:
  std::map<std::string, std::uint64_t> versions_;
};

}  // namespace outcrop::trust
