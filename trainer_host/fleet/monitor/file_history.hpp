#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/messages/command.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/telemetry.hpp"
#include "trainer_host/fleet/monitor/history.hpp"

namespace outcrop::fleet::monitor {

struct HistoryOptions {
  std::filesystem::path folder;
  std::string postgres{};  // a URL: the history is there, and in no folder
  ByteCount most = ByteCount::mib(4096);  // on the disk: beyond it the oldest files go, samples before hours before days
  std::function<Timestamp()> now{};       // the clock of files' names and expiry; none: the system's
  std::chrono::milliseconds gather{50};  // what comes within it is one commit
  std::chrono::milliseconds tend{60'000};  // between looks at what is to be merged and removed
};

// What is to be acknowledged when it is kept.
struct HistoryEntry {
  std::string device;
  messages::MessageId id;
  int protocol = protocol_version;
  Timestamp at;        // where it belongs in time
  Timestamp received;
  std::optional<messages::Telemetry> telemetry;
  // Of a report: what was measured. Figures that were told before are kept once.
  std::string device_class;
  std::optional<trust::Sha256Digest> release;
  std::vector<messages::ReportedVariant> measured;
};

// The history in SQLite files (history_file.hpp) or in PostgreSQL (store.hpp), apart from the registry: what happens to one
// leaves the other as it is. One thread of its own writes it, merges hours and days, and removes what is old; queries read on the thread
// that asks. While nothing can be written (a full disk, a
// server that is away) up to 20,000 entries wait, and no more are taken.
class FileHistory : public History {
 public:
  // `kept` is called on the writer's thread with what is on the disk by now, in lots.
  using Kept = std::function<void(const std::vector<HistoryEntry>&)>;

  // Errors: those of making the folder, or of the URL. What is wrong with a file or a server is told by health().
  [[nodiscard]] static Result<std::unique_ptr<FileHistory>> open(const HistoryOptions& options, Kept kept);

  // From any thread. False where it cannot be taken now, and is not acknowledged: its sender says it again.
  [[nodiscard]] virtual bool add(HistoryEntry entry) = 0;
  // Counts what was not even tried: "from the future", "too often".
  virtual void count_refused(const std::string& reason) = 0;
  // Counts what is not in the history although it happened: control goes on where the history cannot.
  virtual void count_lost() = 0;
  // Waits until all that was added is kept, or could not be; merges and removes what is due, as if `tend` had gone by.
  virtual void tend_now() = 0;
};

}  // namespace outcrop::fleet::monitor
