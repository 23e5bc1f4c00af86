#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"

namespace outcrop::agent {

// Reports that the host has not acknowledged yet, each a file
// (<state>/outbox/<session>-<sequence>.json, the signed envelope), written before it is sent. At
// most 256: above that the oldest goes, with a word in the log. Also keeps the session number and
// the sequence within it. A session's number is above all before it, and at least the seconds since
// 1970: so a card that was restored to an older image, one that lost its files and one that cannot
// be written repeat no number, as far as the clock goes on.
class Outbox {
 public:
  // Makes the folder where there is none, and writes the new session number down before it returns.
  // Neither a damaged session.json nor a disk that takes nothing keeps a session from beginning.
  // Errors: unsupported where session.json is of a newer agent.
  [[nodiscard]] static Result<Outbox> open(const std::filesystem::path& folder, Timestamp now);

  // A new session, above `used` as well: the host has that number from this board already.
  void begin_session(std::uint64_t used, Timestamp now);

  // What is wrong with session.json, or with the disk it should be on.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }

  [[nodiscard]] std::uint64_t session() const { return session_; }
  // The next message of this session; 1, 2, ...
  [[nodiscard]] std::uint64_t next_sequence() { return ++sequence_; }

  [[nodiscard]] Status add(const messages::MessageId& id, std::string_view envelope);
  [[nodiscard]] Status acknowledge(const std::vector<messages::MessageId>& ids);
  struct Pending {
    messages::MessageId id;
    std::string envelope;
  };
  // Oldest first.
  [[nodiscard]] Result<std::vector<Pending>> pending() const;

 private:
  explicit Outbox(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
  std::uint64_t session_ = 0;
  std::uint64_t sequence_ = 0;
  std::optional<std::string> trouble_;
};

}  // namespace outcrop::agent
