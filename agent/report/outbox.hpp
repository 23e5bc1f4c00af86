#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"

namespace outcrop::agent {

// Reports that the host has not acknowledged yet, each a file
// (<state>/outbox/<session>-<sequence>.json, the signed envelope), written before it is sent. At
// most 256: above that the oldest goes, with a word in the log. Also keeps the session number, one
// more at each start, and the sequence within it.
class Outbox {
 public:
  // Makes the folder where there is none, and persists the new session number before it returns.
  // Errors: unsupported where session.json is of a newer agent, invalid_data where it is damaged.
  [[nodiscard]] static Result<Outbox> open(const std::filesystem::path& folder);

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
  Outbox(std::filesystem::path folder, std::uint64_t session)
      : folder_(std::move(folder)), session_(session) {}
  std::filesystem::path folder_;
  std::uint64_t session_;
  std::uint64_t sequence_ = 0;
};

}  // namespace outcrop::agent
