#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/rollout/engine.hpp"

namespace outcrop::fleet {

// Of the rollouts that have ended only those that may still have something to say.
[[nodiscard]] bool is_at_rest(const RolloutView& view);

// Reads what decisions are made by. The view of a rollout that is under way is kept from one decision to the next, and only what
// was written since is read again: no decision reads a whole fleet.
class ViewReader {
 public:
  struct Surroundings {
    std::function<bool(const std::string& device)> online;
    std::function<Result<const messages::Manifest*>(const trust::Sha256Digest&)> manifest;
    std::chrono::seconds patience;
    std::size_t most_steps;  // RolloutView::most_steps
  };
  ViewReader(Registry& registry, const Clock& clock, Surroundings surroundings);
  ViewReader(const ViewReader&) = delete;
  ViewReader& operator=(const ViewReader&) = delete;

  // What is returned lives until the next call. Within the transaction of the decision.
  [[nodiscard]] Result<const RolloutView*> read(const RolloutRecord& rollout);

  // A board came or went, of which nothing need be written.
  void came_or_went(const std::string& device) { changed(device, Written::board); }
  void everybody_went();

 private:
  struct Kept {
    RolloutView view;
    std::set<std::string> changed;
    bool choices_are_old = true;
  };
  void changed(const std::string& device, Written what);
  [[nodiscard]] Result<std::vector<RolloutTarget>> claims_before(const RolloutRecord& rollout);
  [[nodiscard]] Status read_head(RolloutView& view, const RolloutRecord& rollout);
  [[nodiscard]] Status read_whole(RolloutView& view, const std::vector<RolloutTarget>& claims);
  [[nodiscard]] Status read_changed(Kept& kept);
  [[nodiscard]] Status look_for_later(RolloutView& view, const Assignment& assignment, const Device* device);
  [[nodiscard]] Status choose(RolloutView& view);

  Registry* registry_;
  const Clock* clock_;
  Surroundings surroundings_;
  std::map<std::string, Kept> kept_;  // by rollout
  RolloutView other_;                 // of one that is not kept, the last that was read
  std::shared_ptr<const void> listening_;
};

}  // namespace outcrop::fleet
