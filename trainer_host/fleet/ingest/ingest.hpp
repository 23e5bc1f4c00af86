#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/messages/telemetry.hpp"
#include "protocol/transport/session.hpp"
#include "protocol/trust/envelope.hpp"
#include "trainer_host/fleet/ingest/allowance.hpp"
#include "trainer_host/fleet/ingest/count.hpp"
#include "trainer_host/fleet/ingest/presence.hpp"
#include "trainer_host/fleet/ingest/renewals.hpp"
#include "trainer_host/fleet/ingest/signed_message.hpp"
#include "trainer_host/fleet/log/news.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {

// Why a message of a board was not taken, and how often; what was taken, likewise. Any thread may read it.
struct IngestStatistics {
  Count statuses;
  Count progress;
  Count reports;
  Count repeated;   // reports that were here already
  Count used;       // reports that were taken although their numbers were used before
  Count stale;      // of a session before the newest
  Count unknown;    // of a board that is not enrolled, or revoked
  Count malformed;  // too long, no such document, too new
  Count forged;     // another board's name inside, or a signature that does not hold
  Count limited;    // more than a board may say, or a status that a newer one replaced
  Count telemetry;  // taken, repeats among them
  Count pictures;   // taken, repeats among them
  Count untimely;   // telemetry of a time that cannot be, or is over
  [[nodiscard]] std::uint64_t refused() const {
    return stale + unknown + malformed + forged + limited + untimely;
  }
};

// One of them, and what it is called where it is told of a board.
struct Refusal {
  Count IngestStatistics::*counter;
  const char* kind;
};

// What a message led to. All are called after it is in the database, but for statement(), which is part of what is
// written with it.
struct IngestHandlers {
  // The board said who and where it is; `first`: for the first time since it was enrolled.
  std::function<void(const std::string& device, bool first)> status;
  std::function<void(const std::string& device, const Statement& statement)> statement;
  std::function<void(const std::string& device, const messages::Acknowledgement&)> acknowledge;
  // The board's owner began to hold updates back, or ended it.
  std::function<void(const std::string& device, bool held)> held;
  // Telemetry to be kept, and the time that it is of; false where it cannot be taken now. Whoever takes it
  // acknowledges it when it is kept.
  std::function<bool(messages::Telemetry telemetry, Timestamp at)> telemetry;
  // Telemetry that was refused, and why in few words: "from the future", "too often", ...
  std::function<void(const std::string& why)> refused;
  // A report that came, with figures; true: it is acknowledged when they are kept. After statement().
  std::function<bool(const messages::Report& report, Timestamp received)> measured;
  // A picture of it is kept.
  std::function<void(const std::string& device)> drew;
  // A message came by the name of a board that is revoked: its broker, another's, lets it in.
  std::function<void(const std::string& device)> shut_out;
  // It says more of this kind (status, progress, reports, telemetry, pictures) than a board may, for the 1st, 2nd, 4th, 8th, ... time.
  std::function<void(const std::string& device, const std::string& kind, std::uint64_t often)> says_too_much;
  // The board has another key and certificate from now on.
  std::function<void(const std::string& device)> renewed;
  // The board counts where it counted before: sessions up to this one are used.
  std::function<void(const std::string& device, std::uint64_t session)> used;
};

// When a sample was taken, as far as can be told: by the board's clock where that is synchronised, else when it came.
// expired where it is older than what is kept one by one; refused where it is of the future, as after a clock that
// was set back here, or wrong there.
[[nodiscard]] Result<Timestamp> time_of_sample(const messages::DeviceHeader& header, Timestamp received);

// Takes what boards publish (SCHEMA.md: status, progress, report, layers, telemetry, picture, renewal) into the registry, and the last into
// whatever its handler is. The name in a
// topic is the broker's word for who sent it; a message that names another board is refused. A
// report counts only with the signature of the key that was enrolled, and once: repeats are
// acknowledged again and change nothing.
//
// However much comes, a board is listened to at a rate (Allowance): of its statuses only the newest
// waits, of its progress what is too much is let go, and its reports it sends again.
//
// A board whose card was set back to an older image counts its sessions from there: it is believed,
// told which numbers are used, and named (Device::attention). What goes back and forth, by its sessions or by the
// instances of its agent, is two boards with one identity, and named as such.
class Ingest {
 public:
  using SteadyTime = std::function<Allowance::Time()>;
  Ingest(Registry& registry, const Clock& clock, IngestHandlers handlers,
         SteadyTime steady = [] { return std::chrono::steady_clock::now(); });

  // Whether the message is of the kinds above, taken or not.
  bool on_message(const transport::Message& message);
  // Messages that came together, by one commit. Where that fails nobody is told of any of them, and boards say again
  // what counts.
  void take(const std::vector<transport::Message>& messages);
  // How many are best taken together, by the lot before: as many as a moment is enough for, or as long as the disk takes to
  // commit them, so that a slow one does not set the pace.
  [[nodiscard]] std::size_t lot() const { return lot_; }
  // Takes statuses that waited, where their boards may be listened to again. Now and then.
  void take_waiting();
  // Forgets who is online: the broker says it again after the next connect.
  void on_lost() {
    presence_.everybody_went();
    heard_.clear();
    asked_.clear();
  }
  // Boards whose status did not come since the broker was connected to, the next page of them: where
  // thousands are retained, a broker lets some go at each subscription, in silence; and those that said more at once than was
  // taken, of which it may have let the last go. Each is named three times at most: a board that never was here has none.
  [[nodiscard]] std::vector<std::string> unheard(std::size_t most);
  // Boards that ask for a certificate of their next key.
  [[nodiscard]] const Renewals& renewals() const { return renewals_; }
  // Whether a status was lost here (a full disk) since this was asked last: to be asked for again.
  [[nodiscard]] bool owes_status() { return std::exchange(owes_status_, false); }

  // Who is there and how far, for any thread; this and the statistics are all that others than the registry's may ask for.
  [[nodiscard]] const Presence& presence() const { return presence_; }
  [[nodiscard]] bool online(const std::string& device) const { return presence_.online(device); }
  void forget(const std::string& device);  // after its revocation
  // Two machines connect by this board's identity: named in Device::attention.
  void on_twins(const std::string& device, const std::string& places);
  [[nodiscard]] const IngestStatistics& statistics() const { return statistics_; }

 private:
  // What one board may say, and what waits of it.
  struct Voice {
    Allowance statuses{20, 1};
    Allowance progress{40, 4};
    Allowance reports{64, 8};
    Allowance telemetry{300, 0.5};  // a day that it kept, and one each 10 s from then on
    Allowance pictures{4, 1.0 / 60};
    std::optional<transport::Message> waiting;  // its newest status
  };
  void know_enrolled();
  [[nodiscard]] Voice* voice_of(const std::string& name);
  void take_status(const std::string& name, Voice& voice, const transport::Message& message);
  void limit(const std::string& name, const std::string& kind);
  [[nodiscard]] bool store_status(const Device& device, const Device& before);
  [[nodiscard]] bool store_word(const Device& device);
  // Reads the board's record; none, and counted, where it may not speak.
  [[nodiscard]] std::optional<Device> sender(const std::string& name);
  // Its key, and for an hour after a renewal the one before: what it signed meanwhile comes late.
  [[nodiscard]] trust::Signers signers_of(const Device& device) const;
  void on_renewal(const std::string& name, std::string_view payload);
  [[nodiscard]] Status renew(Device device, const messages::Renewal& renewal, const trust::PublicKey& next);
  [[nodiscard]] Result<messages::DeviceStatus> read_status(Device& device,
                                                           std::string_view payload) const;
  [[nodiscard]] std::uint64_t highest_known_session(const Device& device) const;
  void on_status(const std::string& name, const transport::Message& message);
  void on_older_session(Device& device, const messages::DeviceStatus& status);
  [[nodiscard]] bool goes_back_and_forth(const std::string& name);
  [[nodiscard]] bool returns(const std::string& name, std::uint64_t instance);
  void name_twins(Device& device, const std::string& who);
  void believe_anew(const std::string& name);
  void draw_attention(Device& device, const std::string& to);
  void on_used_number(Device device, const messages::Report& report);
  void on_progress(const std::string& name, std::string_view payload);
  void on_report(const std::string& name, std::string_view payload);
  void on_layers(const std::string& name, std::string_view payload);
  void on_telemetry(const std::string& name, Voice& voice, std::string_view payload);
  void on_picture(const std::string& name, Voice& voice, std::string_view payload);
  void refuse_telemetry(const Refusal& refusal, const std::string& name, const std::string& kind,
                        const std::string& why);
  void refuse(const Refusal& refusal, const std::string& name, const std::string& why);
  void refuse(const std::string& name, const NotSigned& no);
  // Does it when what is written now is committed.
  void afterwards(std::function<void()> work);

  Registry* registry_;
  const Clock* clock_;
  IngestHandlers handlers_;
  IngestStatistics statistics_;
  News news_;
  SteadyTime steady_;
  std::map<std::string, Voice> voices_;  // of boards that are enrolled
  bool knows_enrolled_ = false;          // those of before the start are among them
  Allowance strangers_{20, 2};           // look-ups of names that are not
  Presence presence_;
  std::set<std::string> heard_;         // a status came, taken or not, since the connect
  std::map<std::string, int> asked_;    // how often unheard() named it since
  bool owes_status_ = false;
  bool together_ = false;  // messages are taken by one commit
  std::size_t lot_ = 64;
  std::vector<std::function<void()>> afterwards_;

  Renewals renewals_;
  struct Left {
    trust::PublicKey key;
    Allowance::Time until;
  };
  std::map<std::string, Left> left_;  // keys of before a renewal, by device

  struct SetBack {
    std::uint64_t left = 0;  // the session that was there before
    std::vector<Timestamp> times;
    std::uint64_t instance = 0;                // of its latest status
    std::vector<std::uint64_t> instances_left;  // before it, the last few
    std::optional<Timestamp> returned;          // when one of those was there again
  };
  std::map<std::string, SetBack> set_back_;  // by device
};

}  // namespace outcrop::fleet
