#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/log/news.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/behind_fleet.hpp"
#include "trainer_host/fleet/rollout/engine.hpp"
#include "trainer_host/fleet/rollout/manifests.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"
#include "trainer_host/fleet/rollout/view_reader.hpp"

namespace outcrop::fleet {

struct RolloutRequest {
  std::string name;                                  // empty: made from model, stage and manifest
  std::string manifest;                              // digest, or the start of one
  std::optional<std::vector<std::string>> canaries;  // none: chosen, online ones first
  std::size_t canary_count = 0;                      // where chosen; 0: one of each class
  std::chrono::seconds soak{0};
  messages::OnUnmeasurable on_unmeasurable = messages::OnUnmeasurable::hold;
  ByteCount byte_budget;  // 0: 1.5 times the release and 4 MB
  RolloutLimits limits;
  RolloutTarget target;
  RolloutSchedule schedule;
  std::optional<Aim> aim;
};

// What the driver needs of the rest of outcropd.
struct RolloutSurroundings {
  std::function<bool(const std::string& device)> online;
  std::function<std::uint64_t()> snapshot_version;
  std::function<std::uint64_t()> root_version = [] { return UINT64_MAX; };
  // Boards sign their status: what nobody signed says nothing of how old this state is.
  std::function<bool()> directed = [] { return false; };
  // expired where boards would refuse a release of this model by now.
  std::function<Status(const std::string& model)> check_fresh = [](const std::string&) {
    return Status();
  };
  // Hands a command to the board's topic; may be lost, then it is sent again.
  std::function<void(const std::string& device, const messages::Command& command)> send;
  // Asks for tick_changed() soon: several changes are then decided upon at once.
  std::function<void()> wake = [] {};
  // Boards that one decision tells something, at most: whoever else wants the loop has his turn before the next.
  std::size_t lot = 64;
  // Goes on evenly, whatever is done to the clock.
  std::function<std::chrono::steady_clock::time_point()> steady = [] { return std::chrono::steady_clock::now(); };
  // Keeps what was decided of a rollout, and by what: a JSON object. Within the transaction of the decision.
  std::function<Status(const std::string& rollout, const std::string& evidence)> record =
      [](const std::string&, const std::string&) { return Status(); };
};

// Carries out what the engine decides: first into the registry, then to the boards. Everything can
// be done again after a kill at any point, since offers and cancels are known by generation.
class RolloutDriver {
 public:
  RolloutDriver(Registry& registry, const Clock& clock, BlobStore blobs,
                RolloutSurroundings surroundings, std::chrono::seconds patience);

  // Errors: not_found (no such release or board), invalid_argument (several releases of that
  // prefix, canaries of another model), refused (another rollout of the model is under way, the
  // release is withdrawn, no board could be a canary), already_exists (the name).
  [[nodiscard]] Result<RolloutRecord> start(const RolloutRequest& request);
  [[nodiscard]] Result<RolloutRecord> pause(const std::string& name);
  [[nodiscard]] Result<RolloutRecord> resume(const std::string& name);
  [[nodiscard]] Result<RolloutRecord> abort(const std::string& name);
  // While it widens: twice as many boards are at work at once from now on.
  [[nodiscard]] Result<RolloutRecord> skip_ring(const std::string& name);

  // What boards say. `first`: for the first time since it was enrolled.
  void on_statement(const std::string& device, const Statement& statement);
  void on_status(const std::string& device, bool first);
  // Nobody is known to be online any more.
  void on_lost() { views_.everybody_went(); }

  // While it is, nothing is decided or offered, and the five above are refused.
  [[nodiscard]] const BehindFleet& behind_fleet() const { return behind_; }
  [[nodiscard]] Status adopt();

  // Decides on everything that is under way: patience runs out without a word, and so does what a
  // person does.
  void tick();
  // Decides on the rollouts that something was said about since the last time.
  void tick_changed();
  // Sends again what boards that are online have not said a word of. Now and then.
  void reconcile();

  // By the start of its manifest's digest. not_found, invalid_argument (several), refused (withdrawn, revoked).
  [[nodiscard]] Result<ReleaseRecord> find_release(const std::string& prefix);
  // The manifest of a release whose blobs are here.
  [[nodiscard]] Result<const messages::Manifest*> manifest(const trust::Sha256Digest& digest) { return manifests_.of(digest); }
  // For any thread.
  [[nodiscard]] const DecisionCounts& decisions() const { return decisions_; }

 private:
  [[nodiscard]] bool is_behind() const;
  // To it alone nothing is offered.
  [[nodiscard]] bool is_held(const std::string& device) const;
  [[nodiscard]] Status look_at_clock();
  [[nodiscard]] Result<RolloutRecord> record_of(const std::string& name);
  using How = std::function<Result<Decision>(const RolloutView&)>;
  [[nodiscard]] Result<RolloutRecord> act(const std::string& name, const How& how);
  [[nodiscard]] Status decide_within(const std::string& name, const How& how);
  void decide_where(const std::function<bool(const RolloutRecord&)>& chosen);
  [[nodiscard]] Status write(const RolloutView& view, Decision& decision);
  [[nodiscard]] Status tell(const RolloutView& view, const Decision& decision);
  // False where the board has none left: then the assignment is excluded, and says why.
  [[nodiscard]] Result<bool> give_generation(Assignment& assignment);
  [[nodiscard]] Status reconcile_board(const Device& device);
  [[nodiscard]] Status send(const Device& device, const Assignment& assignment);
  [[nodiscard]] Result<std::vector<std::string>> choose_canaries(const RolloutRequest& request,
                                                                 const std::string& model);
  [[nodiscard]] Result<std::vector<std::string>> named_canaries(const RolloutRequest& request,
                                                                const std::string& model);
  [[nodiscard]] Result<std::string> choose_name(const RolloutRequest& request,
                                                const ReleaseRecord& release);

  // When a board was last told of a generation: a status that crosses the offer is no reason to
  // send it twice.
  struct Sent {
    std::uint64_t generation = 0;
    std::uint64_t session = 0;  // of the board: a new one may have lost it
    Timestamp when;
  };

  Registry* registry_;
  const Clock* clock_;
  Manifests manifests_;
  RolloutSurroundings surroundings_;
  BehindFleet behind_;
  ViewReader views_;
  std::chrono::nanoseconds ahead_{0};  // the clock, of what goes on evenly, when it was looked at last
  mutable News news_;
  std::map<std::string, Sent> sent_;
  DecisionCounts decisions_;
  std::set<std::string> changed_;         // rollouts that something was said about
  std::set<std::string> changed_models_;  // of boards that came or went
};

}  // namespace outcrop::fleet
