#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "agent/verify/metadata_store.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::agent {

// What came on this board's `cmd`, if it is the host's word. Where the root names a director, only
// what that role signed for this board and what has not expired is (untrusted, expired); before, as
// in protocols 1 to 4, whatever reads as a command: a broker decides then who speaks for the host.
[[nodiscard]] Result<messages::Command> read_command(const MetadataStore& metadata,
                                                     std::string_view device,
                                                     std::string_view payload);

// Under whom generations are counted: this enrolment, and the keys of the director. Where either is
// new, they begin anew, as TUF lets versions begin anew where keys were replaced (specification
// 5.3.11): a stolen key's highest generation does not outlive the key, and whoever enrols a board
// anew is obeyed.
class CommandAuthority {
 public:
  // `file` is <state>/commands.json. `metadata` must outlive this.
  CommandAuthority(std::filesystem::path file, std::string_view enrolment,
                   const MetadataStore& metadata);

  // Whether it is another than generations are counted under. Not where none was known before.
  [[nodiscard]] bool is_new() const;
  // From now on they are counted under this one.
  void settle();

 private:
  [[nodiscard]] trust::Sha256Digest now() const;

  std::filesystem::path file_;
  std::string enrolment_;
  const MetadataStore& metadata_;
  trust::Sha256Digest counted_;
};

}  // namespace outcrop::agent
