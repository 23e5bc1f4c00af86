#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {

// Why a message of a board was not taken, and how often; what was taken, likewise.
struct IngestStatistics {
  std::uint64_t statuses = 0;
  std::uint64_t progress = 0;
  std::uint64_t reports = 0;
  std::uint64_t repeated = 0;   // reports that were here already
  std::uint64_t stale = 0;      // of a session before the newest
  std::uint64_t unknown = 0;    // of a board that is not enrolled, or revoked
  std::uint64_t malformed = 0;  // too long, no such document, too new
  std::uint64_t forged = 0;     // another board's name inside, or a signature that does not hold
  [[nodiscard]] std::uint64_t refused() const { return stale + unknown + malformed + forged; }
};

// What a message led to. All are called after it is in the database.
struct IngestHandlers {
  std::function<void(const std::string& device)> status;  // the board said who and where it is
  std::function<void(const std::string& device, const Statement& statement)> statement;
  std::function<void(const std::string& device, const messages::Acknowledgement&)> acknowledge;
};

// Takes what boards publish (SCHEMA.md: status, progress, report) into the registry. The name in a
// topic is the broker's word for who sent it; a message that names another board is refused. A
// report counts only with the signature of the key that was enrolled, and once: repeats are
// acknowledged again and change nothing.
class Ingest {
 public:
  Ingest(Registry& registry, const Clock& clock, IngestHandlers handlers);

  // Whether the message is of the kinds above, taken or not.
  bool on_message(const transport::Message& message);
  // Forgets who is online: the broker says it again after the next connect.
  void on_lost() { online_.clear(); }

  [[nodiscard]] bool online(const std::string& device) const { return online_.contains(device); }
  [[nodiscard]] std::size_t online_count() const { return online_.size(); }
  // The newest since this program started; never stored.
  [[nodiscard]] const messages::Progress* progress(const std::string& device) const;
  void forget(const std::string& device);  // after its revocation
  [[nodiscard]] const IngestStatistics& statistics() const { return statistics_; }

 private:
  // Reads the board's record; none, and counted, where it may not speak.
  [[nodiscard]] std::optional<Device> sender(const std::string& name);
  void on_status(const std::string& name, std::string_view payload);
  void on_progress(const std::string& name, std::string_view payload);
  void on_report(const std::string& name, std::string_view payload);
  void refuse(std::uint64_t& counter, const std::string& name, const std::string& why);

  Registry* registry_;
  const Clock* clock_;
  IngestHandlers handlers_;
  IngestStatistics statistics_;
  std::set<std::string> online_;
  std::map<std::string, messages::Progress> progress_;
};

}  // namespace outcrop::fleet
