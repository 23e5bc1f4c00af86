#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/messages/command.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet::monitor {

// What outcropd asks of boards by itself; host.toml, [monitor].
struct AskerConfig {
  std::chrono::seconds interval{300};    // between telemetry of a board; 0: none is asked for
  std::chrono::hours measure_every{0};   // what serves is measured again; 0: only when somebody asks
};

// Boards that are to measure or draw: one, those of a class, or those that serve a release; at least one of the three.
struct MeasureRequest {
  std::string device;
  std::string device_class;
  std::optional<trust::Sha256Digest> manifest;
  bool layers = false;  // the times of operators, too
};
struct MeasureAnswer {
  std::vector<std::string> asked;
  std::vector<std::string> left_for;  // boards that are offline and find it when they are back
  std::map<std::string, std::string> left_out;  // board -> why
};

// Asks boards to say how they fare, and to measure again what they serve (SCHEMA.md, "Watch and measure"). All on the
// thread of the registry.
class Asker {
 public:
  struct Surroundings {
    std::function<bool(const std::string& device)> online;
    // Whether what is sent to this board is signed: nothing is asked otherwise.
    std::function<bool(const Device& device)> signs_for;
    std::function<void(const std::string& device, const messages::Command& command)> send;
    // Likewise, and the broker keeps it for a board that is offline.
    std::function<void(const std::string& device, const messages::Command& command, Timestamp until)> leave;
  };
  Asker(Registry& registry, const Clock& clock, const AskerConfig& config, Surroundings surroundings)
      : registry_(&registry), clock_(&clock), config_(config), surroundings_(std::move(surroundings)) {}

  // The board said who and where it is: after a start of its agent it is asked anew.
  void on_status(const std::string& device);
  // It tells how it fares more often than it may: it is told again how often that is wanted.
  void remind(const std::string& device);
  // Asks again whose watch will be over, and whose turn it is to measure. Boards take turns: each has its own hour of
  // the period, by its name. As often as one likes: it reads the boards once in five minutes.
  void tick();

  // not_found where no board is meant; invalid_argument where nothing is asked for.
  [[nodiscard]] Result<MeasureAnswer> measure(const MeasureRequest& request);
  // At most so many boards draw what they serve, from 1 on; the others are left out.
  static constexpr std::size_t most_drawing = 64;
  [[nodiscard]] Result<MeasureAnswer> draw(const MeasureRequest& request, std::size_t most);
  // Tells boards where their broker is, until then: one, those of a class, or all where nothing is said. The broker that they leave keeps
  // it for those that are offline, for by the time that they are back the host may be at the other one.
  [[nodiscard]] Result<MeasureAnswer> move(const MeasureRequest& request, const messages::Move& move, Timestamp until);

 private:
  [[nodiscard]] Result<std::vector<Device>> meant_by(const MeasureRequest& request, const std::string& doing) const;
  [[nodiscard]] static std::optional<std::string> nothing_served(const Device& device);
  enum class Reaching { who_is_online, whoever_is_away_too };
  // Sends to each of these that can be told something, and of whom `why_not` says nothing.
  [[nodiscard]] Result<MeasureAnswer> ask(const std::vector<Device>& devices,
                                          const std::function<std::optional<std::string>(const Device&)>& why_not,
                                          const std::function<Status(const Device&)>& send,
                                          Reaching reaching = Reaching::who_is_online) const;
  [[nodiscard]] std::optional<std::string> never_asked_because(const Device& device) const;
  [[nodiscard]] std::optional<std::string> not_asked_because(const Device& device) const;
  void watch(const Device& device, bool again = false);
  [[nodiscard]] std::int64_t turn_of(const std::string& device) const;

  struct Asked {
    std::uint64_t session = 0;  // of the board
    Timestamp when;
  };
  Registry* registry_;
  const Clock* clock_;
  AskerConfig config_;
  Surroundings surroundings_;
  std::map<std::string, Asked> watched_;
  std::map<std::string, std::int64_t> turns_;  // the last that was seen
  std::optional<Timestamp> ticked_;
};

}  // namespace outcrop::fleet::monitor
