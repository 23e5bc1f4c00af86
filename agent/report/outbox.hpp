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
// (<state>/outbox/<session>-<sequence>.json, the signed envelope), written before it is sent; where
// the disk takes nothing, in memory. At most 256: above that the oldest goes, with a word in the
// log. The last one that tells an end is held instead: whoever writes down that end writes it down
// with it, so that no kill comes between them. Also keeps the session number and
// the sequence within it. A session's number is above all before it, and at least the seconds since
// 1970: so a card that was restored to an older image, one that lost its files and one that cannot
// be written repeat no number, as far as the clock goes on.
class Outbox {
 public:
  struct Pending {
    messages::MessageId id;
    std::string envelope;
    bool operator==(const Pending&) const = default;
  };

  // Makes the folder where there is none, and writes the new session number down before it returns.
  // No session.json that is damaged, unreadable or of a newer agent, and no disk that takes nothing
  // keeps a session from beginning.
  [[nodiscard]] static Outbox open(const std::filesystem::path& folder, Timestamp now,
                                   std::optional<Pending> held = std::nullopt);

  // A new session, above `used` as well: the host has that number from this board already.
  void begin_session(std::uint64_t used, Timestamp now);

  // What is wrong with session.json, or with the disk it should be on.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }

  [[nodiscard]] std::uint64_t session() const { return session_; }
  // The next message of this session; 1, 2, ...
  [[nodiscard]] std::uint64_t next_sequence() { return ++sequence_; }

  void add(Pending report);
  // What was held before, and was not acknowledged, waits as others do.
  void hold(Pending report);
  [[nodiscard]] const std::optional<Pending>& held() const { return held_; }
  [[nodiscard]] Status acknowledge(const std::vector<messages::MessageId>& ids);
  // Oldest first.
  [[nodiscard]] std::vector<Pending> pending() const;

 private:
  Outbox(std::filesystem::path folder, std::optional<Pending> held)
      : folder_(std::move(folder)), held_(std::move(held)) {}
  [[nodiscard]] Status write(const Pending& report) const;

  std::filesystem::path folder_;
  std::optional<Pending> held_;
  std::vector<Pending> unwritten_;
  std::uint64_t session_ = 0;
  std::uint64_t sequence_ = 0;
  std::optional<std::string> trouble_;
};

}  // namespace outcrop::agent
