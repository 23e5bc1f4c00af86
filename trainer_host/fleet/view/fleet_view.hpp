#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/evidence.hpp"

namespace outcrop::fleet {

// What one board measured of one variant of one release, the newest of it.
struct Figure {
  trust::Sha256Digest manifest;
  std::string variant;
  Timestamp received;                     // the host's clock
  std::vector<std::string> void_because;  // then the figures say nothing
  double p50_ms = 0, p90_ms = 0, load_ms = 0, first_ms = 0;
  std::uint64_t peak_memory = 0;
  std::optional<double> error;  // the worst output's mean error, as a share of what the release allows
  std::vector<double> errors;   // each output's mean error, in its own unit, in the order of the proof
  [[nodiscard]] bool counts() const { return void_because.empty(); }
  // Held back by heat or a weak supply, by the words of what measured (runtime/measure/throttling).
  [[nodiscard]] bool throttled() const;
};

// Of which kind a board is at this moment. The order is that of urgency.
enum class Health { failed, silent, throttled, waiting, well, revoked };
[[nodiscard]] std::string_view to_string(Health health);
inline constexpr int health_count = 6;

struct BoardRow {
  Device device;
  bool online = false;
  std::optional<Assignment> desired;
  std::vector<Figure> figures;  // of the newest six releases of its model, and of what it serves
  Health health = Health::waiting;
  std::string why;  // of its health, in words; "" where it is well

  // What it measured of what it serves; null where it serves nothing, or measured nothing of it.
  [[nodiscard]] const Figure* serving() const;
  [[nodiscard]] const Figure* figure(const trust::Sha256Digest& manifest,
                                     const std::string& variant) const;
};

// What lists of the whole fleet are sorted by: side by side, since rows lie scattered, and to look at ten thousand of them takes ten
// times as long.
struct Glance {
  const BoardRow* row = nullptr;
  std::optional<Timestamp> seen;
  bool measured = false;  // what it serves, and it counts
  double p50_ms = 0, p90_ms = 0, peak_memory = 0;
};

struct RolloutRow {
  RolloutRecord record;
  std::vector<Assignment> assignments;  // by the names of their boards
};

struct KeptChanges;  // changes.cpp

// The fleet as rows in memory, so that nobody who looks reads the whole database: what changed is said to it,
// and read again when it is looked at. One thread, that of its registry, which may be one that only reads: then written() says
// what another wrote and committed.
class FleetView {
 public:
  struct Surroundings {
    std::function<bool(const std::string& device)> online;
    // What is allowed of an output's mean error, by the manifest; none where it cannot be read.
    std::function<std::optional<double>(const trust::Sha256Digest& manifest,
                                        const std::string& variant, const std::string& output)>
        allowed_error;
    // What holds it back at this moment by its telemetry, in words; none where nothing does or nobody knows.
    std::function<std::optional<std::string>(const std::string& device)> held_back =
        [](const std::string&) { return std::nullopt; };
  };
  FleetView(Registry& registry, Surroundings surroundings);
  FleetView(const FleetView&) = delete;
  FleetView& operator=(const FleetView&) = delete;

  void written(const std::string& device, Written what) {
    dirty_.insert(device);
    if (what == Written::report) reported_.insert(device);
  }
  // Something that is not in the registry is not what it was: who is online. What is written there it hears by itself.
  void changed(const std::string& device) { dirty_.insert(device); }
  void changed_everything() { all_dirty_ = true; }
  void rollouts_changed() { rollouts_dirty_ = true; }
  // The next `count` boards are read again although nobody said anything of them: what nobody told comes in time.
  void look_around(std::size_t count);

  // Reads what changed: at most so many boards, and not for longer than a moment once it has some. Whoever looks calls it
  // first, and what is left comes with the next call.
  static constexpr std::size_t most_at_once = 500;
  static constexpr std::size_t least_at_once = 25;
  [[nodiscard]] Status refresh();
  [[nodiscard]] std::size_t unread() const { return dirty_.size(); }

  [[nodiscard]] const std::map<std::string, BoardRow>& boards() const { return boards_; }
  [[nodiscard]] const std::vector<Glance>& glances() const { return glances_; }  // as boards(), in their order
  [[nodiscard]] const std::vector<RolloutRow>& rollouts() const { return rollouts_; }  // newest first
  [[nodiscard]] const std::vector<ReleaseRecord>& releases() const { return releases_; }
  [[nodiscard]] const ReleaseRecord* release(const trust::Sha256Digest& manifest) const;
  // What its boards have shown beside what served them (rollout/evidence.hpp); none where no board measured both.
  [[nodiscard]] std::optional<Judgement> judgement_of(const RolloutRow& row, Timestamp now, bool with_intervals = false) const;
  // Every board with what it is to do by that rollout, null where nothing; by name.
  void each_board(const RolloutRow& row, const std::function<void(const BoardRow&, const Assignment*)>& each) const;
  // "curvefault stage 2", or the start of the digest of what is no release here.
  [[nodiscard]] std::string name_of(const trust::Sha256Digest& manifest) const;

  // Rises when figures, or what boards serve, are not what they were.
  [[nodiscard]] std::uint64_t figures_revision() const { return figures_revision_; }
  // Where newest_changes() keeps what it worked out of them.
  [[nodiscard]] std::shared_ptr<KeptChanges>& kept_changes() const { return kept_changes_; }

  // Called at each refresh for a row that is not what it was, after it was read.
  std::function<void(const BoardRow&)> on_board = [](const BoardRow&) {};
  std::function<void(const RolloutRow&)> on_rollout = [](const RolloutRow&) {};

 private:
  [[nodiscard]] Status read_new();
  [[nodiscard]] Status read(const std::string& name);
  void glance_at(const BoardRow& row);
  [[nodiscard]] Status read_part(RolloutRow& row, const std::string& device);
  void put_in_order();
  [[nodiscard]] Status read_figures(BoardRow& row);
  [[nodiscard]] Status read_figures(BoardRow& row, const trust::Sha256Digest& manifest);
  [[nodiscard]] Status read_rollouts();
  void judge_health(BoardRow& row) const;

  Registry* registry_;
  Surroundings surroundings_;
  std::map<std::string, BoardRow> boards_;
  std::vector<Glance> glances_;
  bool glances_lack_boards_ = false;  // or have some that are gone
  std::vector<RolloutRow> rollouts_;
  std::vector<ReleaseRecord> releases_;
  std::set<std::string> dirty_;
  std::set<std::string> reported_;  // of these, those whose figures are to be read again: reports are the longest to read
  // Rollouts whose boards are followed, with what is new of them: under way, or not long ago.
  struct Followed {
    std::vector<Assignment> new_boards;  // not in the row yet, in the order of names: that of dirty_
    bool changed = false;
  };
  std::map<std::string, Followed> followed_;
  std::string looked_at_;  // the board that was looked at last, of look_around
  std::uint64_t figures_revision_ = 0;
  mutable std::shared_ptr<KeptChanges> kept_changes_;
  bool all_dirty_ = true;
  bool rollouts_dirty_ = true;
  std::shared_ptr<const void> listening_;
};

}  // namespace outcrop::fleet
