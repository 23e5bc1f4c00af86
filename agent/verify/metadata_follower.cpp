#include "agent/verify/metadata_follower.hpp"

#include <algorithm>
#include <array>

#include <spdlog/spdlog.h>

#include "protocol/transport/awaitable.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::agent {
namespace topics = transport::topics;
namespace {

// Asked for at once: who is further behind goes on where these end.
constexpr std::uint64_t roots_ahead = 4;

std::array<std::string, 4> rest(const std::string& stage) {
  return {std::string(trust::SnapshotMetadata::kind), std::string(trust::TargetsMetadata::kind),
          std::string(trust::RevokedMetadata::kind), stage};
}

}  // namespace

MetadataFollower::MetadataFollower(transport::Session& session, const MetadataStore& store,
                                   std::string model)
    : session_(session), store_(store), stage_(trust::stage_role(model)) {}

void MetadataFollower::subscribe_to(std::string_view role) {
  session_.subscribe(topics::metadata(role), transport::Delivery::at_least_once,
                     [name = std::string(role)](const Status& done) {
                       // The connection is gone; the next one begins anew.
                       if (!done) spdlog::debug("asking for {}: {}", name, done.error().message());
                     });
}

void MetadataFollower::follow_roots() {
  const std::uint64_t last = store_.root_version() + roots_ahead;
  for (std::uint64_t next = std::max(roots_asked_for_, store_.root_version()) + 1; next <= last; ++next) {
    subscribe_to("root/" + std::to_string(next));
  }
  roots_asked_for_ = last;
}

boost::asio::awaitable<Status> MetadataFollower::begin() {
  newest_.clear();
  roots_asked_for_ = 0;
  asks_for_rest_ = false;
  follow_roots();
  // Last: once the broker has answered this, it has sent the roots.
  std::string topic = topics::metadata(trust::TimestampMetadata::kind);
  Status done = co_await transport::subscribe(session_, std::move(topic),
                                              transport::Delivery::at_least_once);
  co_return done;
}

void MetadataFollower::on_role(std::string_view role, std::string_view envelope) {
  if (role == trust::TimestampMetadata::kind) newest_ = envelope;
  if (store_.root_version() + roots_ahead > roots_asked_for_) follow_roots();
  if (newest_.empty()) return;
  const bool lacks = !store_.counts(trust::TimestampMetadata::kind, newest_);
  if (lacks == asks_for_rest_) return;
  asks_for_rest_ = lacks;
  for (const std::string& one : rest(stage_)) {
    if (lacks) {
      subscribe_to(one);
    } else {
      session_.unsubscribe(topics::metadata(one), [](const Status&) {});
    }
  }
}

}  // namespace outcrop::agent
