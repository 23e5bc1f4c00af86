#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {

using messages::DeploymentState;

bool has_failed(DeploymentState state) {
  return state == DeploymentState::failed || state == DeploymentState::rejected ||
         state == DeploymentState::rolled_back;
}

bool is_final(DeploymentState state) {
  return state == DeploymentState::updated || has_failed(state);
}

namespace {

// Statements come by several ways (the retained status, progress, reports sent again), so an older
// one may arrive after a newer one.
bool may_follow(const std::optional<DeploymentState>& before, DeploymentState next) {
  if (!before || !is_final(*before)) return true;
  if (*before == DeploymentState::updated) {
    return next == DeploymentState::rolled_back || next == DeploymentState::failed;
  }
  return *before == DeploymentState::failed && next == DeploymentState::rolled_back;
}

bool is_older(const messages::MessageId& message, const messages::MessageId& newest) {
  if (message.session != newest.session) return message.session < newest.session;
  return message.sequence < newest.sequence;
}

// HELD is how a board without a budget ends once it has measured, and how one waits for its owner
// before it does anything: only the former answers the rollout's question.
bool confirms_state(const Statement& statement) {
  return statement.state != DeploymentState::held || statement.measured;
}

// Status and progress tell where the work is, so that a person sees it. That it has come to an end
// is the word of a report alone, and neither they nor their numbers change how long it is waited for.
bool show(Assignment& assignment, const Statement& statement) {
  const bool waits = assignment.state == DeploymentState::held && !assignment.confirmed;
  const bool under_way = !assignment.state || is_under_way(*assignment.state) || waits;
  if (!under_way || !is_under_way(statement.state)) return false;
  if (assignment.state == statement.state && assignment.reason == statement.reason) return false;
  assignment.state = statement.state;
  assignment.reason = statement.reason;
  assignment.confirmed = false;
  return true;
}

}  // namespace

bool is_under_way(DeploymentState state) {
  return !is_final(state) && state != DeploymentState::held &&
         state != DeploymentState::not_measurable;
}

bool observe(Assignment& assignment, const Statement& statement, Timestamp now) {
  if (assignment.generation == 0 || statement.deployment.generation != assignment.generation ||
      statement.deployment.rollout != assignment.rollout) {
    return false;
  }
  if (!statement.is_signed) return show(assignment, statement);
  // The first figure counts: a board that measures again until it likes the result is no evidence.
  const bool compares = statement.slowdown && !assignment.slowdown && !assignment.cancelled;
  if (compares) assignment.slowdown = statement.slowdown;
  if (assignment.state == statement.state) {
    const bool confirms = confirms_state(statement) && !assignment.confirmed;
    const bool explains = !statement.reason.empty() && statement.reason != assignment.reason &&
                          !is_older(statement.message, assignment.message);
    if (!confirms && !explains) return compares;
    assignment.confirmed = assignment.confirmed || confirms;
    if (explains) assignment.reason = statement.reason;
  } else {
    if (is_older(statement.message, assignment.message)) return compares;
    if (!may_follow(assignment.state, statement.state)) return compares;
    assignment.state = statement.state;
    assignment.reason = statement.reason;
    assignment.confirmed = confirms_state(statement);
  }
  // What was said before, sent again, is no sign of life: a replayed report does not put a deadline off.
  if (assignment.message < statement.message) {
    assignment.message = statement.message;
    assignment.updated = now;
  }
  return true;
}

}  // namespace outcrop::fleet
