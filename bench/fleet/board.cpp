#include "bench/fleet/board.hpp"

#include <array>

#include <boost/asio/steady_timer.hpp>

#include "protocol/base/version.hpp"
#include "protocol/messages/telemetry.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/measured_variant.hpp"

namespace outcrop::bench {
namespace topics = transport::topics;
using messages::DeploymentState;

namespace {

constexpr std::chrono::seconds keep_alive{60};
constexpr std::chrono::minutes repeat_after{1};
constexpr std::array steps{DeploymentState::downloading, DeploymentState::proving, DeploymentState::measuring,
                           DeploymentState::updated};
constexpr const char* serving_variant = "int8-qint8";

}  // namespace

Board::Board(Surroundings& all, Identity identity, std::string device_class)
    : all_(&all), identity_(std::move(identity)) {
  status_.device = identity_.name;
  status_.session = 0;
  status_.agent = "0.1.0";
  status_.speaks = protocol_version;
  status_.model = "curvefault";
  status_.device_class = std::move(device_class);
  status_.active_manifest = all.serves;
  status_.active_variant = serving_variant;
}

void Board::connect() {
  ++status_.session;
  sequence_ = 0;
  status_.online = false;
  const mqtt::Connect as{identity_.name, keep_alive, {topics::status(identity_.name), status_text(), true}};
  status_.online = true;
  connection_ = std::make_shared<Connection>(all_->executor, all_->tls, identity_);
  connection_->start(all_->broker, as,
                     {[this] { on_accepted(); }, [this](const mqtt::Message& message) { on_message(message); },
                      [this](const std::string& why) {
                        connection_.reset();
                        connected_ = false;
                        ++all_->tally.lost;
                        all_->tally.lost_because = why;
                      }});
}

void Board::drop() {
  if (connection_) connection_->drop();
  connection_.reset();
  connected_ = false;
}

// As agents do: what it may hear first, then who it is, then what the host does not have yet.
void Board::on_accepted() {
  connected_ = true;
  const std::string& name = identity_.name;
  connection_->subscribe({topics::receive(name), topics::command(name), topics::ask(name),
                          std::string(topics::metadata_prefix) + "#"});
  publish_status();
  for (const auto& [id, said] : waiting_) {
    ++all_->tally.repeated;
    connection_->publish(said.message);
  }
}

std::string Board::status_text() const {
  return trust::sign_envelope(messages::status_kind, as_bytes(to_json(status_)), std::span(&identity_.key, 1));
}

void Board::publish_status() {
  if (connected_) connection_->publish({topics::status(identity_.name), status_text(), true});
}

messages::DeviceHeader Board::next_header() {
  return {identity_.name, status_.session, ++sequence_, SystemClock().now(), true};
}

void Board::beat() {
  if (!connected_) return;
  ++all_->tally.heartbeats;
  connection_->send(mqtt::ping());
}

void Board::hold(bool held) {
  status_.held = held;
  publish_status();
}

void Board::say(const messages::MessageId& id, Said what) {
  if (connected_) connection_->publish(what.message);
  waiting_.emplace(id, std::move(what));
}

void Board::say_again(Time now) {
  if (!connected_) return;
  for (auto& [id, said] : waiting_) {
    if (now - said.said < repeat_after) continue;
    said.said = now;
    ++all_->tally.repeated;
    connection_->publish(said.message);
  }
}

void Board::tell(Time due) {
  messages::Telemetry telemetry;
  telemetry.header = next_header();
  telemetry.interval = std::chrono::seconds(300);
  telemetry.device_class = status_.device_class;
  telemetry.active_manifest = status_.active_manifest;
  telemetry.active_variant = status_.active_variant;
  std::normal_distribution<double> latency(100, 3);
  telemetry.served.calls = 50;
  for (int i = 0; i < 50; ++i) telemetry.served.latency_ms.add(latency(all_->random));
  telemetry.temperature = std::normal_distribution<double>(55, 4)(all_->random);
  telemetry.frequency = 1;
  telemetry.throttled = messages::ThrottlingBits{};
  telemetry.free_memory = ByteCount::mib(512);
  telemetry.free_disk = ByteCount::mib(4096);
  telemetry.uptime = std::chrono::hours(240);
  ++all_->tally.telemetry;
  say({telemetry.header.session, telemetry.header.sequence},
      {due, due,
       {topics::up(identity_.name, "telemetry"),
        trust::sign_envelope(messages::telemetry_kind, as_bytes(to_json(telemetry)), std::span(&identity_.key, 1)),
        false}});
}

void Board::measure_again(Time due) {
  const messages::DeploymentId deployment =
      status_.deployment ? status_.deployment->id
                         : messages::DeploymentId{"before", 1, status_.active_manifest.value_or(all_->serves)};
  say_report(deployment, DeploymentState::updated, /*measured=*/true, due);
}

void Board::say_progress(const messages::Offer& offer, DeploymentState state) {
  messages::Progress progress;
  progress.header = next_header();
  progress.deployment = {offer.rollout, offer.generation, offer.manifest};
  progress.state = state;
  progress.variant = offer.variants.empty() ? serving_variant : offer.variants.front();
  progress.bytes_done = progress.bytes_total = offer.manifest_size;
  ++all_->tally.progress;
  if (connected_) connection_->publish({topics::up(identity_.name, "progress"), to_json(progress), false});
}

void Board::say_report(const messages::DeploymentId& deployment, DeploymentState state, bool measures, Time due) {
  std::normal_distribution<double> noise(0, .03);
  messages::Report report;
  report.header = next_header();
  report.deployment = deployment;
  report.state = state;
  report.device_class = status_.device_class;
  report.agent = status_.agent;
  report.engine = "torch";
  report.engine_version = "1.13.1";
  report.full_confinement = true;
  report.active_manifest = status_.active_manifest;
  report.active_variant = status_.active_variant;
  if (measures) {
    const double p90 = 100 * std::exp(noise(all_->random));
    report.variants = {measured_variant("float", 3 * p90), measured_variant(serving_variant, p90 * std::exp(noise(all_->random)))};
    if (deployment.manifest != all_->serves) {
      report.incumbent = messages::ReportedIncumbent{all_->serves, measured_variant(serving_variant, p90)};
    }
  }
  ++all_->tally.reports;
  say({report.header.session, report.header.sequence},
      {due, due,
       {topics::up(identity_.name, "report"),
        trust::sign_envelope("report", as_bytes(to_json(report)), std::span(&identity_.key, 1)), false},
       true});
}

void Board::on_message(const mqtt::Message& message) {
  if (message.topic != topics::command(identity_.name) && message.topic != topics::ask(identity_.name)) return;
  const auto verified = trust::verify_envelope(message.payload, messages::command_kind, all_->director);
  const auto command = verified ? messages::parse_signed_command(verified->bytes())
                                : Result<messages::SignedCommand>(fail(verified.error()));
  if (!command || command->device != identity_.name) {
    ++all_->tally.refused;
    return;
  }
  if (const auto* offer = std::get_if<messages::Offer>(&command->command)) {
    if (offer->generation > status_.generation) obey(*offer);
  } else if (const auto* cancel = std::get_if<messages::Cancel>(&command->command)) {
    if (cancel->generation > status_.generation) take_back(*cancel);
  } else if (const auto* kept = std::get_if<messages::Acknowledgement>(&command->command)) {
    for (const messages::MessageId& id : kept->reports) {
      const auto found = waiting_.find(id);
      if (found == waiting_.end()) continue;
      ++all_->tally.acknowledged;
      all_->tally.acknowledged_ms.add(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - found->second.due).count());
      if (found->second.is_report) {
        kept_reports_.insert(id);
      } else {
        ++kept_telemetry_;
      }
      waiting_.erase(found);
    }
  }
}

void Board::obey(const messages::Offer& offer) {
  status_.generation = offer.generation;
  all_->tally.offered.insert(identity_.name);
  work_on(offer, 0);
}

void Board::take_back(const messages::Cancel& cancel) {
  status_.generation = cancel.generation;
  const messages::DeploymentId deployment{cancel.rollout, cancel.generation, cancel.manifest};
  status_.active_manifest = cancel.return_to;
  status_.deployment = messages::DeviceStatus::Deployment{deployment, DeploymentState::rolled_back, cancel.reason};
  say_report(deployment, DeploymentState::rolled_back, /*measured=*/false, std::chrono::steady_clock::now());
  publish_status();
}

void Board::work_on(const messages::Offer& offer, std::size_t step) {
  std::uniform_int_distribution<int> takes(300, 700);
  const auto timer = std::make_shared<boost::asio::steady_timer>(all_->executor,
                                                                 std::chrono::milliseconds(takes(all_->random)));
  timer->async_wait([this, timer, offer, step](const boost::system::error_code& error) {
    if (error || offer.generation != status_.generation) return;
    const DeploymentState state = steps.at(step);
    if (state != DeploymentState::updated) {
      say_progress(offer, state);
      return work_on(offer, step + 1);
    }
    const messages::DeploymentId deployment{offer.rollout, offer.generation, offer.manifest};
    status_.active_manifest = offer.manifest;
    status_.active_variant = offer.variants.empty() ? serving_variant : offer.variants.front();
    status_.deployment = messages::DeviceStatus::Deployment{deployment, state, ""};
    all_->tally.updated.insert(identity_.name);
    say_report(deployment, state, /*measured=*/true, std::chrono::steady_clock::now());
    publish_status();
  });
}

}  // namespace outcrop::bench
