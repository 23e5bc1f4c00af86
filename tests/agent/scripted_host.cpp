#include "tests/agent/scripted_host.hpp"

#include <stdexcept>

#include "protocol/blob/chunk_frame.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop {
namespace topics = transport::topics;
using messages::DeploymentState;

namespace {

std::unique_ptr<transport::Session> session_of(transport::Loop& loop, FleetBroker& broker) {
  auto options = broker.host();
  options.first_retry = std::chrono::milliseconds(50);
  return transport::make_paho_session(loop.executor(), options);
}

}  // namespace

ScriptedHost::ScriptedHost(transport::Loop& loop, FleetBroker& broker, std::string device)
    : ScriptedHost(loop, session_of(loop, broker), std::move(device), {}) {}

ScriptedHost::ScriptedHost(transport::Loop& loop, std::unique_ptr<transport::Session> session,
                           std::string device, const std::filesystem::path& blobs)
    : loop_(loop), device_(std::move(device)), session_(std::move(session)) {
  auto store = fleet::BlobStore::open(blobs.empty() ? folder_.path() / "blobs" : blobs);
  if (!store) throw std::runtime_error(store.error().message());
  store_.emplace(std::move(*store));
  depot_ = std::make_unique<fleet::Depot>(*session_, *store_, "host");
  session_->start({.connected = [this] { on_connected(); },
                   .lost = [this](const Error&) { depot_->on_lost(); },
                   .message = [this](transport::Message message) { on_message(message); }});
  if (!loop_.until([this] { return subscribed_; })) throw std::runtime_error("no broker");
}

ScriptedHost::~ScriptedHost() {
  bool stopped = false;
  session_->stop([&] { stopped = true; });
  loop_.until([&] { return stopped; });
}

void ScriptedHost::on_connected() {
  depot_->on_connected();
  session_->subscribe("outcrop/v1/d/+/up/#", transport::Delivery::at_least_once,
                      [](const Status&) {});
  session_->subscribe("outcrop/v1/d/+/status", transport::Delivery::at_least_once,
                      [this](const Status& status) { subscribed_ = status.has_value(); });
}

void ScriptedHost::publish(const std::map<std::string, std::string>& envelopes) {
  for (const auto& [role, envelope] : envelopes) {
    session_->publish({topics::metadata(role), envelope, true}, transport::Delivery::at_least_once,
                      [](const Status&) {});
  }
}

void ScriptedHost::store(const ForgedRelease& release) {
  for (const auto& [digest, bytes] : release.blobs) {
    auto stored = store_->upload(digest, ByteCount(bytes.size()), ByteCount(0), as_bytes(bytes));
    if (!stored) throw std::runtime_error(stored.error().message());
  }
}

void ScriptedHost::send(const messages::Command& command) {
  const std::string text = forge_ != nullptr ? forge_->command(device_, command) : to_json(command);
  messages::is_asked(command) ? ask_raw(text) : send_raw(text);
}

void ScriptedHost::ask_raw(const std::string& command) {
  session_->publish({topics::ask(device_), command, false}, transport::Delivery::at_least_once,
                    [](const Status&) {});
}

void ScriptedHost::send_raw(const std::string& command) {
  session_->publish({topics::command(device_), command, false}, transport::Delivery::at_least_once,
                    [](const Status&) {});
}

messages::Offer ScriptedHost::offer(const ForgedRelease& release, std::uint64_t generation,
                                    const Forge& forge) const {
  messages::Offer offer;
  offer.rollout = "rollout-" + std::to_string(generation);
  offer.generation = generation;
  offer.model = Forge::model;
  offer.device_class = Forge::device_class;
  offer.manifest = release.manifest;
  offer.manifest_size = release.manifest_size;
  offer.snapshot_version = forge.snapshot_version();
  offer.soak = std::chrono::seconds(0);
  offer.byte_budget = ByteCount::mib(64);
  return offer;
}

bool ScriptedHost::at(std::uint64_t generation, DeploymentState state) const {
  const auto* latest = status();
  return latest != nullptr && latest->deployment &&
         latest->deployment->id.generation == generation && latest->deployment->state == state;
}

const messages::Report* ScriptedHost::report(std::uint64_t generation,
                                             DeploymentState state) const {
  for (const messages::Report& report : reports) {
    if (report.deployment.generation == generation && report.state == state) return &report;
  }
  return nullptr;
}

void ScriptedHost::on_message(const transport::Message& message) {
  if (const auto request = blob::decode_chunk_request(message.payload)) {
    asked_for.insert(request->blob);
  }
  if (depot_->on_message(message)) return;
  if (message.topic == topics::status(device_)) {
    on_status(message.payload);
  } else if (message.topic == topics::up(device_, "progress")) {
    if (auto parsed = messages::parse_progress(message.payload)) {
      progress.push_back(std::move(*parsed));
    } else {
      no_progress.push_back(parsed.error().message());
    }
  } else if (message.topic == topics::up(device_, "report")) {
    on_report(message.payload);
  } else if (message.topic == topics::up(device_, "telemetry")) {
    on_telemetry(message.payload);
  } else if (message.topic == topics::up(device_, "picture")) {
    on_picture(message.payload);
  } else if (message.topic == topics::up(device_, "renewal")) {
    const auto verified = trust::verify_envelope(
        message.payload, messages::renewal_kind,
        {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
    auto renewal = verified ? messages::parse_renewal(verified->bytes()) : Result<messages::Renewal>(fail(verified.error()));
    if (renewal) renewals.push_back(std::move(*renewal));
  } else if (message.topic == topics::up(device_, "layers")) {
    const auto verified = trust::verify_envelope(
        message.payload, messages::layers_kind,
        {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
    auto told = verified ? messages::parse_layers(verified->bytes()) : Result<messages::Layers>(fail(verified.error()));
    if (told) layers.push_back(std::move(*told));
  }
}

void ScriptedHost::on_telemetry(const std::string& payload) {
  const auto verified = trust::verify_envelope(
      payload, messages::telemetry_kind,
      {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
  if (!verified) return;
  auto parsed = messages::parse_telemetry(verified->bytes());
  if (!parsed) return;
  if (acknowledges_) {
    send(messages::Acknowledgement{{{parsed->header.session, parsed->header.sequence}}});
  }
  telemetry.push_back(std::move(*parsed));
}

void ScriptedHost::on_picture(const std::string& payload) {
  const auto verified = trust::verify_envelope(
      payload, messages::picture_kind,
      {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
  if (!verified) return;
  auto parsed = messages::parse_picture(verified->bytes());
  if (!parsed) return;
  if (acknowledges_) {
    send(messages::Acknowledgement{{{parsed->header.session, parsed->header.sequence}}});
  }
  pictures.push_back(std::move(*parsed));
}

// A board signs where its root names a director.
void ScriptedHost::on_status(const std::string& payload) {
  const auto verified = trust::verify_envelope(
      payload, messages::status_kind,
      {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
  if (verified) ++signed_statuses;
  auto status =
      messages::parse_status(verified ? as_text(verified->bytes()) : std::string_view(payload));
  if (!status) return;
  statuses.push_back(std::move(*status));
  if (on_each_status) on_each_status(statuses.back());
}

void ScriptedHost::on_report(const std::string& payload) {
  const auto verified = trust::verify_envelope(
      payload, "report", {.role = device_, .keys = {{board_key.id(), board_key}}, .threshold = 1});
  auto report = verified ? messages::parse_report(verified->bytes())
                         : Result<messages::Report>(fail(verified.error()));
  if (!report) {
    ++bad_reports;
    return;
  }
  if (on_each_report) on_each_report(*report);
  if (acknowledges_) {
    send(messages::Acknowledgement{{{report->header.session, report->header.sequence}}});
  }
  reports.push_back(std::move(*report));
}

}  // namespace outcrop
