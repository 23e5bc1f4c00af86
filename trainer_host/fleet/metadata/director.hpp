#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/trust/ed25519.hpp"
#include "trainer_host/fleet/metadata/role_set.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Writes commands as a board takes them (SCHEMA.md, "Command"). As in Uptane (Standard, "The
// Director repository"; aktualizr's uptane/director.cpp), who directs has a role of its own under
// root, held online, whose documents name one vehicle, expire and cannot delegate; what it directs
// a board to must be permitted by keys that are kept elsewhere (there the image repository, here
// the stage role).
class Director {
 public:
  // The key is read again whenever its file is not what it was. `roles` may change meanwhile. `check_clock` says whether
  // the time may be signed: a command of a day that a leapt clock made long would be good for as long.
  Director(const Clock& clock, std::filesystem::path key, std::function<const RoleSet&()> roles,
           std::function<Status()> check_clock)
      : clock_(&clock), key_(std::move(key)), roles_(std::move(roles)), check_clock_(std::move(check_clock)) {}

  // Whether this board is told by signed commands: the root that it has says who signs them.
  // Others are served as before, unsigned: an agent before protocol 5, or a root without a director.
  [[nodiscard]] bool signs_for(const Device& board) const;

  // What to publish, which counts for a day or until then. Errors: those of the clock and of the key's file, untrusted where the
  // newest root names another.
  [[nodiscard]] Result<std::string> write(const Device& board, const messages::Command& command, std::optional<Timestamp> until = {});

 private:
  [[nodiscard]] Result<trust::PrivateKey> read_key();

  // What tells one state of a file from another.
  struct KeyFile {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t changed_s = 0, changed_ns = 0;
    bool operator==(const KeyFile&) const = default;
  };

  const Clock* clock_;
  std::filesystem::path key_;
  std::function<const RoleSet&()> roles_;
  std::function<Status()> check_clock_;
  KeyFile read_from_;
  std::optional<trust::PrivateKey> read_;  // taking a PEM file apart takes ten times as long as signing
};

}  // namespace outcrop::fleet
