#include <spdlog/spdlog.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/transport/name_lookup.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"
#include "trainer_host/fleet/broker/configuration.hpp"
#include "trainer_host/fleet/daemon_impl.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"
#include "trainer_host/fleet/ingest/revocations.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::chrono::milliseconds gather_messages{10};  // messages that are stored together
constexpr std::size_t most_unheard = 20'000;  // of messages: a fleet's statuses come all at once
constexpr std::chrono::seconds moments_of_a_restart{15};  // in which boards and host are back
constexpr std::size_t status_page = 500;  // boards that are asked at once, each by itself

std::optional<SlowReaders::Sent> sent_of_late(const Depot& depot) {
  const auto sent = depot.sent_of_late();
  std::optional<SlowReaders::Sent> most;
  for (const auto& [device, bytes] : sent) {
    const ByteCount all((most ? most->to_all.value() : 0) + bytes);
    if (!most || ByteCount(bytes) > most->to_it) most = SlowReaders::Sent{device, ByteCount(bytes), all};
    most->to_all = all;
  }
  return most;
}

}  // namespace

Status Daemon::Impl::start_broker() {
  if (config_.broker.external) {
    OUTCROP_TRY(authority, read_text_file(config_.broker.external->boards_authority));
    boards_authority_ = authority;
    return {};
  }
  BrokerOptions options;
  options.folder = StateFolder{config_.state}.broker();
  options.program = config_.broker.program;
  options.listen = config_.broker.listen;
  options.port = config_.broker.port;
  options.names = config_.broker.names;
  auto group = BrokerGroup::make(most_memory_of_broker);
  if (group) {
    spdlog::info("the broker has a control group of its own, {}, of {} at most", group->folder().string(), most_memory_of_broker.human());
    options.group = std::move(*group);
  } else {
    spdlog::info("the broker has no control group of its own: {}. Where memory runs out, the kernel ends it before outcropd all the same",
                 group.error().message());
  }
  options.on_restart = [this](const std::string& why) { on_restart(why); };
  options.on_knocks = [this](const std::string& address, std::uint64_t count, const std::set<std::string>& names) {
    knocking_.by_address(address, count, names);
  };
  options.on_twins = [this](const std::string& device, const std::string& places) {
    ingest_.on_twins(device, places);
  };
  OUTCROP_TRY(broker, Broker::start(io_->get_executor(), options));
  broker_ = std::move(broker);
  boards_authority_ = broker_->authority();
  // The registry is the authority: a broker folder that was lost or restored learns from it.
  OUTCROP_TRY(authorities, registry_->authorities());
  for (const DeviceAuthority& authority : authorities) {
    if (const auto revoked = revoke_listed(*registry_, authority, clock_.now()); !revoked) {
      spdlog::error("a device authority: {}", revoked.error().message());
    }
    const Status trusted = trust_devices(authority);
    if (!trusted) spdlog::error("a device authority: {}", trusted.error().message());
  }
  OUTCROP_TRY(removed, removed_authorities(*registry_));
  for (const RemovedAuthority& authority : removed) OUTCROP_CHECK(broker_->distrust_devices(authority.key));
  return {};
}

Status Daemon::Impl::trust_devices(const DeviceAuthority& authority) {
  if (!broker_) return {};  // docs/fleet.md: whoever runs that broker gives it the list
  return broker_->trust_devices(authority.certificate, authority.crl);
}

void Daemon::Impl::start_session() {
  transport::SessionOptions options;
  if (broker_) {
    options = broker_->host_session();
  } else {
    options.host = config_.broker.external->host;
    options.port = config_.broker.external->port;
    options.client_id = "outcropd:host";
    options.tls = config_.broker.external->files;
  }
  options.most_waiting = most_unheard;
  session_ = transport::make_paho_session(io_->get_executor(), options);
  depot_ = std::make_unique<Depot>(*session_, blobs_, "host");
  if (broker_) {
    depot_->on_flood([this](const std::string& device) {
      news_.report("a board that asks without end",
                   fail(ErrorCode::refused, "'" + device + "' was disconnected; where that goes on, revoke it"));
      broker_->disconnect(device);
    });
    slow_readers_.emplace([this] { return sent_of_late(*depot_); },
                          [this](const std::string& device) {
                            broker_->disconnect(device);
                            depot_->forget_sent(device);
                          });
  }
  transport::SessionHandlers handlers;
  handlers.connected = [this] { on_connected(); };
  handlers.lost = [this](const Error& error) { on_lost(error); };
  handlers.message = [this](transport::Message message) { on_message(std::move(message)); };
  session_->start(std::move(handlers));
  heartbeat_ = std::make_unique<Heartbeat>(
      io_->get_executor(), *session_, Heartbeat::of(config_.broker.patience),
      [this](std::chrono::milliseconds silence) { on_silence(silence); },
      [this] { return broker_ ? broker_->worked() : std::nullopt; });
}

BrokerAccess Daemon::Impl::broker_access() {
  BrokerAccess access;
  access.ours = broker_ != nullptr;
  if (broker_) {
    access.host = transport::without_zone(
        config_.broker.names.empty() ? config_.broker.listen : config_.broker.names[0]);
    access.port = broker_->port();
  } else {
    access.host = config_.broker.external->host;
    access.port = config_.broker.external->port;
  }
  access.authority = boards_authority_;
  access.running = [this] { return session_->connected(); };
  access.restarting = [this] { return restarting(); };
  access.trust_devices = [this](const DeviceAuthority& authority) {
    return trust_devices(authority);
  };
  access.distrust_devices = [this](const trust::KeyId& authority) {
    return broker_ ? broker_->distrust_devices(authority) : Status();
  };
  access.disconnect = [this](const std::string& device) {
    if (broker_) broker_->disconnect(device);
  };
  access.ask_for_status = [this] { ask_for_status(); };
  return access;
}

void Daemon::Impl::on_silence(std::chrono::milliseconds silence) {
  spdlog::error("the broker has not answered for {} s{}", silence.count() / 1000,
                broker_ ? ": it is ended and started again" : "");
  if (broker_) broker_->restart();
}

void Daemon::Impl::subscribe(const std::string& filter) {
  session_->subscribe(
      filter, transport::Delivery::at_least_once,
      [this, filter](const Status& status) { news_.report("subscribing to " + filter, status); });
}

// A broker answers each subscription with what it retains.
void Daemon::Impl::ask_for_status() {
  if (session_->connected()) subscribe(transport::topics::status("+"));
}

// Of thousands that it retains a broker lets some go at a subscription to all, and says nothing.
void Daemon::Impl::ask_those_unheard() {
  if (!session_->connected()) return;
  for (const std::string& device : ingest_.unheard(status_page)) {
    const std::string topic = transport::topics::status(device);
    session_->subscribe(topic, transport::Delivery::at_least_once, [this, topic](const Status& status) {
      news_.report("asking for statuses", status);
      if (!stopping_) session_->unsubscribe(topic, [](const Status&) {});
    });
  }
}

void Daemon::Impl::on_connected() {
  spdlog::info("connected to the broker");
  news_.report("no connection to the broker", {});
  for (const char* kind : {"progress", "report", "telemetry", "layers", "picture", "renewal"}) subscribe(transport::topics::up("+", kind));
  if (slow_readers_) subscribe(SlowReaders::topic);
  ask_for_status();
  depot_->on_connected();
  // The broker may have lost what it retained.
  publish(keeper_.roles().envelopes());
}

// No failure: it comes back within moments. Before there is a session nobody notices.
void Daemon::Impl::on_restart(const std::string& why) {
  if (!session_) return;
  spdlog::info("the broker is started again, {}", why);
  restarting_ = why;
  restarted_ = std::chrono::steady_clock::now();
}

std::string Daemon::Impl::restarting() const {
  const bool soon = std::chrono::steady_clock::now() - restarted_ < moments_of_a_restart;
  return soon && !session_->connected() ? restarting_ : "";
}

// Also called for each attempt that fails.
void Daemon::Impl::on_lost(const Error& error) {
  if (restarting().empty()) news_.report("no connection to the broker", fail(error));
  take_inbox();
  ingest_.on_lost();
  driver_.on_lost();
  if (api_) api_->every_board_changed();
  depot_->on_lost();
}

void Daemon::Impl::on_message(transport::Message message) {
  if (heartbeat_) heartbeat_->heard();
  if (message.topic == SlowReaders::topic) {
    const Status reads = slow_readers_->on_heap(message.payload, std::chrono::steady_clock::now());
    if (!reads) news_.report("boards that do not read", reads);
    return;
  }
  if (depot_->on_message(message)) return;
  inbox_.push_back(std::move(message));
  if (inbox_.size() >= ingest_.lot()) return take_inbox();
  if (inbox_.size() > 1) return;
  inbox_timer_.expires_after(gather_messages);
  inbox_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) take_inbox();
  });
}

// What a board was told is kept would be nowhere.
bool Daemon::Impl::ends_without_its_database() {
  const Status here = in_place_.check();
  if (here) return false;
  news_.report("the registry", here);
  inbox_.clear();
  stop();
  return true;
}

void Daemon::Impl::take_inbox() {
  if (ends_without_its_database()) return;
  ingest_.take(std::exchange(inbox_, {}));
}

void Daemon::Impl::publish(const RoleEnvelopes& roles) {
  if (!session_ || !session_->connected()) return;  // all of it after the next connect
  registry_->when_committed([this, roles] {
    for (const auto& [role, envelope] : roles) {
      session_->publish({transport::topics::metadata(role), envelope, true},
                        transport::Delivery::at_least_once,
                        [this, role = role](const Status& status) {
                          news_.report("publishing " + role, status);
                        });
    }
  });
}

void Daemon::Impl::transmit(const std::string& device, const messages::Command& command, std::optional<Timestamp> left_until) {
  const auto text = [&]() -> Result<std::string> {
    OUTCROP_TRY(board, registry_->device(device));
    if (!board) return fail(ErrorCode::not_found, "'" + device + "' is not enrolled");
    return director_.write(*board, command, left_until);
  }();
  news_.report("commands to boards", text ? Status() : fail(text.error()));
  if (!text) return;
  // What is lost here is sent again when the board's status says that it has not seen it; of what is left, one is told.
  const std::string topic = messages::is_asked(command) ? transport::topics::ask(device)
                                                        : transport::topics::command(device);
  registry_->when_committed([this, topic, text = *text, device, left = left_until.has_value()] {
    session_->publish({topic, text, left},
                      transport::Delivery::at_least_once, [device, left](Status status) {
                        if (status) return;
                        spdlog::log(left ? spdlog::level::warn : spdlog::level::debug, "command to {}: {}", device, status.error().message());
                      });
  });
}

// A board that has seen more of what this host signs than it knows of takes nothing below that.
void Daemon::Impl::sign_above(const std::string& device) {
  const auto board = registry_->device(device);
  if (!board || !*board || !(*board)->status) return;
  if (!(*board)->signs && keeper_.roles().director_since()) return;
  const std::uint64_t seen =
      comparable_snapshot(*(*board)->status, keeper_.roles().root()->version);
  if (!is_ahead(seen, keeper_.snapshot_version()) || seen > keeper_.snapshot_version() + word_of_one_board) return;
  const auto changed = keeper_.sign_above(seen);
  news_.report("metadata", changed ? Status() : fail(changed.error()));
  if (changed) publish(*changed);
}

}  // namespace outcrop::fleet
