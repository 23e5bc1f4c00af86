#include "agent/deploy/transitions.hpp"

#include <algorithm>
#include <array>

namespace outcrop::agent {
namespace {

using S = DeploymentState;
using E = Event;

constexpr std::array edges{
    Edge{S::offered, E::refused, S::rejected},
    Edge{S::offered, E::owner_holds, S::held},
    Edge{S::offered, E::must_wait, S::held},
    Edge{S::offered, E::admitted, S::downloading},
    Edge{S::offered, E::was_committed, S::updating},
    Edge{S::offered, E::failed, S::failed},
    Edge{S::offered, E::cancelled, S::rolled_back},
    Edge{S::offered, E::resumed, S::offered},

    Edge{S::held, E::owner_agrees, S::offered},
    Edge{S::held, E::may_go_on, S::offered},
    Edge{S::held, E::cancelled, S::rolled_back},
    Edge{S::held, E::failed, S::failed},
    Edge{S::held, E::resumed, S::held},

    Edge{S::downloading, E::pulled, S::downloaded},
    Edge{S::downloading, E::must_wait, S::held},
    Edge{S::downloading, E::refused, S::rejected},
    Edge{S::downloading, E::failed, S::failed},
    Edge{S::downloading, E::cancelled, S::rolled_back},

    Edge{S::downloaded, E::verified, S::verified},
    Edge{S::downloaded, E::failed, S::failed},
    Edge{S::downloaded, E::cancelled, S::rolled_back},

    Edge{S::verified, E::proving_starts, S::proving},
    Edge{S::verified, E::failed, S::failed},
    Edge{S::verified, E::cancelled, S::rolled_back},

    Edge{S::proving, E::proved, S::measuring},
    Edge{S::proving, E::failed, S::failed},
    Edge{S::proving, E::cancelled, S::rolled_back},
    Edge{S::proving, E::resumed, S::downloading},

    Edge{S::measuring, E::chosen, S::updating},
    Edge{S::measuring, E::nothing_to_choose, S::held},
    Edge{S::measuring, E::unmeasurable, S::not_measurable},
    Edge{S::measuring, E::accepted_unmeasured, S::updating},
    Edge{S::measuring, E::failed, S::failed},
    Edge{S::measuring, E::cancelled, S::rolled_back},

    Edge{S::updating, E::activated, S::soaking},
    Edge{S::updating, E::soaked, S::updated},  // a return to what was committed before
    Edge{S::updating, E::failed, S::rolled_back},
    Edge{S::updating, E::cancelled, S::rolled_back},
    Edge{S::updating, E::serving_lost, S::rolled_back},
    Edge{S::updating, E::resumed, S::updating},

    Edge{S::soaking, E::soaked, S::updated},
    Edge{S::soaking, E::failed, S::rolled_back},
    Edge{S::soaking, E::cancelled, S::rolled_back},
    Edge{S::soaking, E::serving_lost, S::rolled_back},
    Edge{S::soaking, E::resumed, S::soaking},

    Edge{S::updated, E::cancelled, S::rolled_back},
    Edge{S::updated, E::serving_lost, S::rolled_back},
};

constexpr std::array<std::string_view, 21> names{"refused",
                                                 "owner holds",
                                                 "owner agrees",
                                                 "must wait",
                                                 "may go on",
                                                 "admitted",
                                                 "was committed",
                                                 "pulled",
                                                 "verified",
                                                 "proving starts",
                                                 "proved",
                                                 "chosen",
                                                 "nothing to choose",
                                                 "unmeasurable",
                                                 "accepted unmeasured",
                                                 "activated",
                                                 "soaked",
                                                 "failed",
                                                 "cancelled",
                                                 "serving lost",
                                                 "resumed"};

}  // namespace

std::string_view to_string(Event event) {
  return names[static_cast<std::size_t>(event)];
}

std::optional<DeploymentState> next_state(DeploymentState state, Event event) {
  const auto edge = std::find_if(edges.begin(), edges.end(), [&](const Edge& candidate) {
    return candidate.from == state && candidate.event == event;
  });
  if (edge == edges.end()) return std::nullopt;
  return edge->to;
}

DeploymentState told_apart(DeploymentState state) {
  switch (state) {
    case S::downloading:
    case S::downloaded:
    case S::verified:
      return S::offered;
    case S::measuring:
      return S::proving;
    default:
      return state;
  }
}

bool is_end(DeploymentState state) {
  return state == S::rejected || state == S::held || state == S::not_measurable ||
         state == S::updated || state == S::failed || state == S::rolled_back;
}

}  // namespace outcrop::agent
