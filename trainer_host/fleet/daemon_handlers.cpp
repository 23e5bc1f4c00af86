#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/daemon_impl.hpp"
#include "trainer_host/fleet/metadata/expiry.hpp"

namespace outcrop::fleet {

IngestHandlers Daemon::Impl::ingest_handlers() {
  IngestHandlers handlers;
  handlers.status = [this](const std::string& device, bool first) {
    driver_.on_status(device, first);
    sign_above(device);
    asker_.on_status(device);
    if (api_) api_->board_changed(device);
  };
  handlers.statement = [this](const std::string& device, const Statement& statement) {
    driver_.on_statement(device, statement);
    if (api_) api_->board_changed(device);
  };
  handlers.acknowledge = [this](const std::string& device,
                                const messages::Acknowledgement& acknowledgement) {
    send(device, acknowledgement);
  };
  handlers.used = [this](const std::string& device, std::uint64_t session) {
    send(device, messages::Used{session});
  };
  // It is told so (429 and a word, as far as MQTT has one), and so is who looks after the fleet.
  handlers.says_too_much = [this](const std::string& device, const std::string& kind, std::uint64_t often) {
    if (kind == "telemetry") asker_.remind(device);
    if (often > 1) return;
    news_.report("the audit log", audit_.record("outcropd", "says-too-much", device, json_text(nlohmann::json{{"kind", kind}})));
  };
  handlers.renewed = [this](const std::string& device) {
    news_.report("the audit log", audit_.record(device, "key-renewed", device));
    if (api_) api_->board_changed(device);
  };
  handlers.shut_out = [this](const std::string& device) { knocking_.by_name(device); };
  add_monitor_handlers(handlers);
  return handlers;
}

void Daemon::Impl::add_monitor_handlers(IngestHandlers& handlers) {
  handlers.telemetry = [this](messages::Telemetry telemetry, Timestamp at) {
    return feed_.on_telemetry(std::move(telemetry), at, clock_.now());
  };
  handlers.held = [this](const std::string& device, bool held) {
    news_.report("the audit log", owner_notes_.on_held(device, held, std::chrono::steady_clock::now()));
  };
  handlers.drew = [this](const std::string& device) {
    if (api_) api_->board_drew(device);
  };
  handlers.refused = [this](const std::string& why) { feed_.on_refused(why); };
  handlers.measured = [this](const messages::Report& report, Timestamp received) {
    return feed_.on_report(report, received);
  };
}

monitor::Asker::Surroundings Daemon::Impl::asker_surroundings() {
  monitor::Asker::Surroundings surroundings;
  surroundings.online = [this](const std::string& device) { return ingest_.online(device); };
  surroundings.signs_for = [this](const Device& device) { return director_.signs_for(device); };
  surroundings.send = [this](const std::string& device, const messages::Command& command) {
    send(device, command);
  };
  surroundings.leave = [this](const std::string& device, const messages::Command& command, Timestamp until) { leave(device, command, until); };
  return surroundings;
}

RolloutSurroundings Daemon::Impl::surroundings() {
  RolloutSurroundings surroundings;
  surroundings.online = [this](const std::string& device) { return ingest_.online(device); };
  surroundings.snapshot_version = [this] { return keeper_.snapshot_version(); };
  surroundings.check_fresh = [this](const std::string& model) {
    return check_fresh(keeper_.roles(), model, clock_.now());
  };
  surroundings.root_version = [this] { return keeper_.roles().root()->version; };
  surroundings.directed = [this] { return keeper_.roles().director_since().has_value(); };
  surroundings.send = [this](const std::string& device, const messages::Command& command) {
    send(device, command);
  };
  surroundings.wake = [this] { wake(); };
  surroundings.record = [this](const std::string& rollout, const std::string& evidence) {
    return audit_.record("outcropd", "rollout-decided", rollout, evidence);
  };
  return surroundings;
}

}  // namespace outcrop::fleet
