#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/trust/ed25519.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/registry/aim.hpp"
#include "trainer_host/fleet/registry/rollout_limits.hpp"
#include "trainer_host/fleet/registry/rollout_schedule.hpp"
#include "trainer_host/fleet/registry/rollout_target.hpp"

namespace outcrop::fleet {

// The only authority on what the fleet is and what it shall be. An interface: SQLite now,
// PostgreSQL later.

struct Device {
  std::string name;
  std::string model;
  std::string device_class;
  trust::PublicKey key;
  std::string certificate;  // PEM
  Timestamp enrolled;
  std::optional<Timestamp> revoked;
  std::string revoked_reason;
  // As it last said of itself.
  std::optional<messages::DeviceStatus> status;
  std::optional<Timestamp> last_seen;
  std::uint64_t highest_session = 0;  // that it ever said; a board that was set back says less
  std::string attention;              // what its owner should know of who it says it is; "" mostly
  bool signs = false;  // its status came signed: from then on only a signed one counts
  std::set<std::string> tags;  // of its place in the fleet, by operators; they stay when another board takes its name

  bool operator==(const Device&) const = default;
};

// Of a board as much as decides whether a rollout is for it.
struct BoardLabels {
  std::string name;
  std::string device_class;
  std::set<std::string> tags;
};
inline constexpr std::size_t most_tags = 32;  // of a board

// A filter of boards that was given a name: words of a query (view/filter.hpp).
struct Group {
  std::string name;
  std::string filter;
};

enum class ReleaseState { published, withdrawn, revoked };
[[nodiscard]] std::string_view to_string(ReleaseState state);

struct ReleaseRecord {
  trust::Sha256Digest manifest;
  ByteCount manifest_size;
  std::string model;
  std::uint64_t stage = 1;
  std::uint64_t epoch = 1;
  ReleaseState state = ReleaseState::published;
  std::string reason;
  Timestamp published;
  ByteCount total;  // bytes of all its blobs
  // How good its model is, as its golden outputs tell (SCHEMA.md, "Quality"): JSON, "" where they
  // tell nothing; none where nobody has looked yet.
  std::optional<std::string> quality;
};

enum class RolloutState { canary, widening, paused, done, stopped, aborted };
[[nodiscard]] std::string_view to_string(RolloutState state);
// Offers nothing any more: done, stopped or aborted.
[[nodiscard]] inline bool has_ended(RolloutState state) {
  return state == RolloutState::done || state == RolloutState::stopped ||
         state == RolloutState::aborted;
}

// Which boards an end takes back, as long as some of them are not told yet; unfinished: all but those that are UPDATED.
enum class TakeBack { nothing, all, unfinished };
[[nodiscard]] std::string_view to_string(TakeBack which);

struct RolloutRecord {
  std::string name;
  std::string model;
  trust::Sha256Digest manifest;
  RolloutState state = RolloutState::canary;
  RolloutState resume_to = RolloutState::canary;  // while paused
  std::string reason;                             // of the verdict, in words
  messages::OnUnmeasurable on_unmeasurable = messages::OnUnmeasurable::hold;
  std::chrono::seconds soak{0};
  ByteCount byte_budget;
  RolloutLimits limits;
  RolloutTarget target;
  RolloutSchedule schedule;
  std::optional<Aim> aim;  // by which a class's variant is chosen; none: the release's own objective
  std::uint64_t rings_skipped = 0;  // each doubles how many boards are at work at once
  Timestamp minute;                 // that boards were last offered it in, and how many in it
  std::uint64_t in_minute = 0;
  TakeBack takes_back = TakeBack::nothing;
  std::string takes_back_because;  // what these boards are told
  Timestamp started;
  std::optional<Timestamp> ended;
  // Of a state that was older than the fleet when it was gone on with: offers nothing any more.
  bool past = false;
};

// What one board is to run because of a rollout, and how far it is.
struct Assignment {
  std::string rollout;
  std::string device;
  bool canary = false;
  bool excluded = false;         // stays out; `reason` says why
  std::uint64_t generation = 0;  // 0: not offered yet
  bool cancelled = false;        // the generation is that of a cancel
  trust::Sha256Digest manifest;
  std::optional<trust::Sha256Digest> return_to;  // what it served before, for a cancel
  std::vector<std::string> variants;             // of the offer
  std::optional<messages::DeploymentState>
      state;  // as reported for this generation; none: no word yet
  std::string reason;
  bool confirmed = false;  // a report signed by the board says this state
  // Of the variant that the board chose, by what served; as it signed first.
  std::optional<messages::Slowdown> slowdown;
  // Of the newest message that said something of this generation: later ones may be older.
  messages::MessageId message{0, 0};
  Timestamp updated;
};

// Of one rollout: those that are assigned to it, and that are UPDATED.
struct RolloutBoards {
  std::size_t all = 0, updated = 0;
};

// Who vouches for boards, with its list of revoked certificates; both PEM.
struct DeviceAuthority {
  std::string certificate;
  std::string crl;
};

struct StoredReport {
  messages::Report report;
  Timestamp received;
  bool number_used = false;  // an earlier one with other content has its number, too
  std::uint64_t place = 0;   // in the order in which they came
};

enum class ReportTaken {
  added,
  repeated,     // the same report is here already
  number_used,  // added, beside another report of the same number
};

// What was answered to a request that its caller may send again, and that must not have its effect twice.
struct GivenAnswer {
  std::string caller;
  std::string key;  // as the caller named it
  trust::Sha256Digest request;
  Timestamp given;
  int status = 200;
  std::string body;
};
// Kept for a day; of one caller as many, and no more bytes, the newest in any case.
inline constexpr std::chrono::hours answers_kept_for{24};
inline constexpr std::size_t answers_kept = 256;
inline constexpr ByteCount answer_bytes_kept = ByteCount::mib(16);

// What a board was asked to draw, and what it answered last.
struct KeptPicture {
  std::string device;
  Timestamp asked;     // the last time
  bool waits = false;  // it has not answered since
  std::optional<messages::Picture> picture;  // none: it never answered
  std::optional<Timestamp> received;
};
// Of each board the newest, and of so many boards: those that were asked last. Each is of messages::picture_limit at most.
inline constexpr std::size_t pictures_kept = 256;

// Reports of one board about one release that are kept, the newest. Those about what is no release
// here share one such lot: a board may name any digest.
inline constexpr std::size_t reports_kept = 64;
// Of all reports of a board that are longer than any usual one, on all releases: what it says at length makes room for what it
// says then.
inline constexpr ByteCount long_report = ByteCount::kib(16);
inline constexpr ByteCount long_reports_kept = ByteCount::mib(2);

// What was written of a board: its row or what it is to be at, or a report of it.
enum class Written { board, report };

class Registry {
 public:
  virtual ~Registry() = default;

  // `hear` is told of each board of which something was written, within the transaction, and again where that came to
  // nothing: whoever keeps what he read knows what to read anew. As long as what is returned lives. May not write.
  using Hear = std::function<void(const std::string& device, Written what)>;
  [[nodiscard]] std::shared_ptr<const void> listen(Hear hear) {
    auto listener = std::make_shared<const Hear>(std::move(hear));
    std::erase_if(listeners_, [](const auto& one) { return one.expired(); });
    listeners_.push_back(listener);
    return listener;
  }

  // Everything between is one transaction; rolled back when the Status is an error. One within another is a
  // part of it that can be rolled back by itself.
  [[nodiscard]] virtual Status transaction(const std::function<Status()>& work) = 0;
  // What is read between is of one moment, whoever writes meanwhile. Nothing may be written.
  [[nodiscard]] virtual Status at_one_moment(const std::function<Status()>& work) = 0;
  // Runs `work` when what is being written now is committed: at once outside of a transaction, never where it, or the
  // part of it that this is said in, is rolled back. For what nobody may hear before.
  virtual void when_committed(std::function<void()> work) = 0;
  // Only rises, across everything. A board may have seen higher ones (from a database that was
  // lost since): who offers goes above those.
  [[nodiscard]] virtual Result<std::uint64_t> next_generation() = 0;
  [[nodiscard]] virtual Result<std::uint64_t> last_generation() = 0;
  // Nothing where the last one is higher already.
  [[nodiscard]] virtual Status raise_generation(std::uint64_t to) = 0;

  // The whole row but for tags, as a board is enrolled, or anew: what it says and its revocation are written by
  // the two below, so that neither undoes the other.
  [[nodiscard]] virtual Status save(const Device& device) = 0;
  // What it said of itself: status, last_seen, highest_session, attention, signs. Only while it is
  // enrolled with this key and not revoked; else nothing changes, and false. Sessions only rise,
  // and who signs does for good.
  [[nodiscard]] virtual Result<bool> save_word(const Device& device) = 0;
  // Where it is not revoked yet, or was for the reason `instead_of`, whose time then stays. False
  // where nothing changed.
  [[nodiscard]] virtual Result<bool> revoke(const std::string& device, Timestamp when,
                                            const std::string& reason,
                                            const std::string& instead_of) = 0;
  // False where there is no such board.
  [[nodiscard]] virtual Result<bool> save_tags(const std::string& device, const std::set<std::string>& tags) = 0;
  [[nodiscard]] virtual Result<std::optional<Device>> device(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::vector<Device>> devices() = 0;  // by name
  [[nodiscard]] virtual Result<std::vector<Device>> devices_of(const std::string& model) = 0;
  // Boards that have said no word of something that they were to be told, of a rollout that counts or of one before.
  [[nodiscard]] virtual Result<std::vector<Device>> devices_without_word() = 0;
  [[nodiscard]] virtual Result<std::size_t> count_enrolled() = 0;  // and not revoked
  // Releases that any board serves, or is to serve or return to. Reads every board's status: now and then.
  [[nodiscard]] virtual Result<std::set<trust::Sha256Digest>> wanted() = 0;

  [[nodiscard]] virtual Status save(const ReleaseRecord& release) = 0;
  [[nodiscard]] virtual Result<std::optional<ReleaseRecord>> release(
      const trust::Sha256Digest& manifest) = 0;
  [[nodiscard]] virtual Result<std::vector<ReleaseRecord>> releases() = 0;  // newest first

  [[nodiscard]] virtual Status save(const RolloutRecord& rollout) = 0;
  [[nodiscard]] virtual Result<std::optional<RolloutRecord>> rollout(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::vector<RolloutRecord>> rollouts() = 0;  // newest first
  [[nodiscard]] virtual Result<std::vector<RolloutRecord>> rollouts_under_way() = 0;
  // Boards of its model that have no part in it.
  [[nodiscard]] virtual Result<std::vector<BoardLabels>> newcomers(const RolloutRecord& rollout) = 0;
  // With its assignments. False, and nothing changes, where it is under way or one of them says what
  // a board is to be at.
  [[nodiscard]] virtual Result<bool> remove(const RolloutRecord& rollout) = 0;
  [[nodiscard]] virtual Status save(const Assignment& assignment) = 0;
  // As if that board had never been in that rollout.
  [[nodiscard]] virtual Status remove(const Assignment& assignment) = 0;
  [[nodiscard]] virtual Result<std::vector<Assignment>> assignments(const std::string& rollout) = 0;
  [[nodiscard]] virtual Result<RolloutBoards> count_boards(const std::string& rollout) = 0;
  [[nodiscard]] virtual Result<std::optional<Assignment>> assignment(const std::string& rollout,
                                                                     const std::string& device) = 0;
  // The one of the highest generation above 0: what this board is to be at.
  [[nodiscard]] virtual Result<std::optional<Assignment>> desired(const std::string& device) = 0;

  // Its number is (device, key, session, sequence): `key` signed it, and a board that was enrolled
  // anew counts its sessions anew. Older reports make room (reports_kept).
  [[nodiscard]] virtual Result<ReportTaken> add_report(const messages::Report& report,
                                                       const trust::KeyId& key,
                                                       std::string_view envelope,
                                                       Timestamp received) = 0;
  // Newest first, at most `limit`, those that came before the place `below`; all devices where `device` is empty, all releases where
  // `manifest` is none.
  [[nodiscard]] virtual Result<std::vector<StoredReport>> reports(
      const std::string& device, const std::optional<trust::Sha256Digest>& manifest,
      std::size_t limit, std::uint64_t below = UINT64_MAX) = 0;

  // The board was asked for a picture. Makes room (pictures_kept).
  [[nodiscard]] virtual Status ask_picture(const std::string& device, Timestamp asked) = 0;
  // In place of the one before. False where the board was not asked, or that is forgotten. The same again changes nothing.
  [[nodiscard]] virtual Result<bool> save(const messages::Picture& picture, Timestamp received) = 0;
  [[nodiscard]] virtual Result<std::optional<KeptPicture>> picture(const std::string& device) = 0;
  // Drawn by this release, by the names of their boards.
  [[nodiscard]] virtual Result<std::vector<KeptPicture>> pictures_of(const trust::Sha256Digest& manifest, std::size_t limit) = 0;

  // Signed metadata as it is published: role ("root/1", "targets", ...) -> envelope.
  [[nodiscard]] virtual Status save_metadata(const std::string& role,
                                             const std::string& envelope) = 0;
  [[nodiscard]] virtual Status remove_metadata(const std::string& role) = 0;
  [[nodiscard]] virtual Result<std::vector<std::pair<std::string, std::string>>> metadata() = 0;

  [[nodiscard]] virtual Status save(const DeviceAuthority& authority) = 0;
  [[nodiscard]] virtual Result<std::vector<DeviceAuthority>> authorities() = 0;
  [[nodiscard]] virtual Status remove(const DeviceAuthority& authority) = 0;

  [[nodiscard]] virtual Status save(const Group& group) = 0;
  [[nodiscard]] virtual Result<bool> remove_group(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::vector<Group>> groups() = 0;  // by name

  // Refused where the caller has one of this key. Makes room (answers_kept).
  [[nodiscard]] virtual Status save(const GivenAnswer& answer) = 0;
  // None where it is older than is kept by `now`.
  [[nodiscard]] virtual Result<std::optional<GivenAnswer>> answer(const std::string& caller, const std::string& key,
                                                                  Timestamp now) = 0;

  // What outcropd is to remember about the fleet as a whole, by name.
  [[nodiscard]] virtual Status save_note(const std::string& name, const std::string& value) = 0;
  [[nodiscard]] virtual Status remove_note(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::optional<std::string>> note(const std::string& name) = 0;

  // The audit log (monitor/audit.hpp makes its entries). Refused by the database itself: another
  // number than the next, a change, a removal.
  [[nodiscard]] virtual Status append(const monitor::AuditEntry& entry) = 0;
  [[nodiscard]] virtual Result<std::vector<monitor::AuditEntry>> audit_below(
      std::uint64_t number, std::size_t limit, const std::string& subject,
      const std::string& action) = 0;  // newest first; empty texts: all
  [[nodiscard]] virtual Result<std::vector<monitor::AuditEntry>> audit_after(
      std::uint64_t number, std::size_t limit) = 0;  // oldest first

  // A consistent copy of the whole database while it is in use.
  [[nodiscard]] virtual Status back_up(const std::filesystem::path& file) = 0;

 protected:
  void tell(const std::string& device, Written what) const {
    for (const auto& one : listeners_) {
      if (const auto hear = one.lock()) (*hear)(device, what);
    }
  }

 private:
  std::vector<std::weak_ptr<const Hear>> listeners_;
};

// WAL, synchronous=FULL, foreign keys on. One thread. A file of a newer schema is refused as
// unsupported, an older one is brought forward; a file that is no database is invalid_data.
// `prepared` is told each statement that is prepared: for tests that ask how it is carried out.
[[nodiscard]] Result<std::unique_ptr<Registry>> open_sqlite_registry(
    const std::filesystem::path& file, std::function<void(const std::string& sql)> prepared = {});

// The same file for reading, while an outcropd works in it or not, also on a thread of its own: what is read is what was
// committed last, and waits for no writer. It stays of the schema it has: where that may be another than this program's, metadata()
// and back_up() are all that may be asked. Every write fails. not_found where there is none.
[[nodiscard]] Result<std::unique_ptr<Registry>> read_sqlite_registry(
    const std::filesystem::path& file);

}  // namespace outcrop::fleet
