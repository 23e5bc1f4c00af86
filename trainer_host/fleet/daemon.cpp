#include "trainer_host/fleet/daemon.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>

#include "platform/http/server.hpp"
#include "platform/service/service.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/broker/broker.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"
#include "trainer_host/fleet/depot/depot.hpp"
#include "trainer_host/fleet/metadata/release_states.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::milliseconds gather{50};  // changes that are decided upon together
constexpr std::chrono::seconds reconcile_every{15};
constexpr std::chrono::seconds sign_every{60};  // looks whether something is due
constexpr std::chrono::seconds stop_at_most{5};

Status make_state_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder.parent_path(), error);
  if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST) {
    return fail(Error::from_errno("making the state folder " + folder.string()));
  }
  return {};
}

MetadataOptions metadata_options(const TrustConfig& trust) {
  MetadataOptions options;
  options.root = trust.root;
  options.timestamp_key = trust.timestamp_key;
  options.snapshot_key = trust.snapshot_key;
  options.timestamp_validity = trust.timestamp_validity;
  return options;
}

Result<std::unique_ptr<Registry>> open_registry(const StateFolder& state) {
  auto registry = open_sqlite_registry(state.registry());
  if (!registry) return fail(registry.error().context("the registry"));
  return registry;
}

}  // namespace

class Daemon::Impl {
 public:
  Impl(asio::io_context& io, HostConfig config, UniqueFd lock, std::unique_ptr<Registry> registry,
       BlobStore blobs, MetadataKeeper keeper)
      : io_(&io),
        config_(std::move(config)),
        lock_(std::move(lock)),
        registry_(std::move(registry)),
        blobs_(std::move(blobs)),
        keeper_(std::move(keeper)),
        ingest_(*registry_, clock_, ingest_handlers()),
        driver_(*registry_, clock_, blobs_, surroundings(), config_.rollout.patience),
        decide_timer_(io),
        reconcile_timer_(io),
        sign_timer_(io),
        stop_timer_(io) {}

  Status start();
  void stop();

 private:
  IngestHandlers ingest_handlers();
  RolloutSurroundings surroundings();
  Status start_broker();
  void start_session();
  Status start_server();
  [[nodiscard]] BrokerAccess broker_access();
  [[nodiscard]] Status trust_devices(const DeviceAuthority& authority);

  void on_connected();
  void on_lost(const Error& error);
  void on_message(transport::Message message);
  void publish(const RoleEnvelopes& roles);
  void send(const std::string& device, const std::string& json);
  void wake();
  void every(asio::steady_timer& timer, std::chrono::milliseconds period,
             const std::function<void()>& work);
  void show_status();

  // Members are destroyed from the last to the first: who is called back goes last.
  asio::io_context* io_;
  HostConfig config_;
  SystemClock clock_;
  UniqueFd lock_;
  std::unique_ptr<Registry> registry_;
  BlobStore blobs_;
  MetadataKeeper keeper_;
  Ingest ingest_;
  RolloutDriver driver_;
  std::unique_ptr<Broker> broker_;  // none where it is another's
  std::string boards_authority_;
  std::unique_ptr<transport::Session> session_;
  std::unique_ptr<Depot> depot_;
  asio::thread_pool worker_{1};
  std::unique_ptr<Api> api_;
  std::unique_ptr<http::Server> server_;
  asio::steady_timer decide_timer_;
  asio::steady_timer reconcile_timer_;
  asio::steady_timer sign_timer_;
  asio::steady_timer stop_timer_;
  std::unique_ptr<platform::Watchdog> watchdog_;
  std::string shown_;  // what systemd was told last
  bool decide_soon_ = false;
  bool stopping_ = false;
};

IngestHandlers Daemon::Impl::ingest_handlers() {
  IngestHandlers handlers;
  handlers.status = [this](const std::string& device) { driver_.on_status(device); };
  handlers.statement = [this](const std::string& device, const Statement& statement) {
    driver_.on_statement(device, statement);
  };
  handlers.acknowledge = [this](const std::string& device,
                                const messages::Acknowledgement& acknowledgement) {
    send(device, to_json(acknowledgement));
  };
  return handlers;
}

RolloutSurroundings Daemon::Impl::surroundings() {
  RolloutSurroundings surroundings;
  surroundings.online = [this](const std::string& device) { return ingest_.online(device); };
  surroundings.snapshot_version = [this] { return keeper_.snapshot_version(); };
  surroundings.send = [this](const std::string& device, const std::string& json) {
    send(device, json);
  };
  surroundings.wake = [this] { wake(); };
  return surroundings;
}

Status Daemon::Impl::start() {
  OUTCROP_CHECK(update_release_states(*registry_, keeper_.roles()));
  OUTCROP_CHECK(start_broker());
  start_session();
  OUTCROP_CHECK(start_server());
  every(reconcile_timer_, reconcile_every, [this] {
    driver_.reconcile();
    driver_.tick();  // patience runs out without a message
    show_status();
  });
  every(sign_timer_, sign_every, [this] {
    const auto changed = keeper_.refresh();
    if (!changed) return spdlog::error("metadata: {}", changed.error().message());
    publish(*changed);
  });
  watchdog_ = std::make_unique<platform::Watchdog>(io_->get_executor());
  // Ready is said by the loop itself, which then works.
  asio::post(*io_, [this] {
    platform::notify_ready();
    show_status();
    spdlog::info("ready: state {}, socket {}, broker {}:{}", config_.state.string(),
                 config_.socket.string(), broker_access().host, broker_access().port);
  });
  return {};
}

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
  OUTCROP_TRY(broker, Broker::start(io_->get_executor(), options));
  broker_ = std::move(broker);
  boards_authority_ = broker_->authority();
  // The registry is the authority: a broker folder that was lost or restored learns from it.
  OUTCROP_TRY(authorities, registry_->authorities());
  for (const DeviceAuthority& authority : authorities) {
    const Status trusted = trust_devices(authority);
    if (!trusted) spdlog::error("a device authority: {}", trusted.error().message());
  }
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
  session_ = transport::make_paho_session(io_->get_executor(), options);
  depot_ = std::make_unique<Depot>(*session_, blobs_, "host");
  transport::SessionHandlers handlers;
  handlers.connected = [this] { on_connected(); };
  handlers.lost = [this](const Error& error) { on_lost(error); };
  handlers.message = [this](transport::Message message) { on_message(std::move(message)); };
  session_->start(std::move(handlers));
}

BrokerAccess Daemon::Impl::broker_access() {
  BrokerAccess access;
  access.ours = broker_ != nullptr;
  if (broker_) {
    access.host = config_.broker.names.empty() ? config_.broker.listen : config_.broker.names[0];
    access.port = broker_->port();
  } else {
    access.host = config_.broker.external->host;
    access.port = config_.broker.external->port;
  }
  access.authority = boards_authority_;
  access.running = [this] { return session_->connected(); };
  access.trust_devices = [this](const DeviceAuthority& authority) {
    return trust_devices(authority);
  };
  access.disconnect = [this](const std::string& device) {
    if (broker_) broker_->disconnect(device);
  };
  return access;
}

Status Daemon::Impl::start_server() {
  api_ = std::make_unique<Api>(
      ApiParts{*registry_, clock_, blobs_, keeper_, driver_, ingest_, broker_access(),
               [this](const RoleEnvelopes& roles) { publish(roles); }, config_.rollout, worker_});
  std::error_code error;
  std::filesystem::create_directories(config_.socket.parent_path(), error);
  http::ServerOptions options;
  options.socket = config_.socket;
  options.mode = config_.socket_mode;
  options.longest_body = ByteCount::mib(10);
  OUTCROP_TRY(server,
              http::Server::listen(io_->get_executor(), options, [this](http::Request request) {
                return api_->handle(std::move(request));
              }));
  server_ = std::make_unique<http::Server>(std::move(server));
  return {};
}

void Daemon::Impl::on_connected() {
  spdlog::info("connected to the broker");
  for (const char* filter :
       {"outcrop/v1/d/+/status", "outcrop/v1/d/+/up/progress", "outcrop/v1/d/+/up/report"}) {
    session_->subscribe(filter, transport::Delivery::at_least_once, [filter](Status status) {
      if (!status) spdlog::error("subscribing to {}: {}", filter, status.error().message());
    });
  }
  depot_->on_connected();
  // The broker may have lost what it retained.
  publish(keeper_.roles().envelopes());
}

void Daemon::Impl::on_lost(const Error& error) {
  spdlog::warn("no connection to the broker: {}", error.message());
  ingest_.on_lost();
  depot_->on_lost();
}

void Daemon::Impl::on_message(transport::Message message) {
  if (!depot_->on_message(message)) ingest_.on_message(message);
}

void Daemon::Impl::publish(const RoleEnvelopes& roles) {
  if (!session_ || !session_->connected()) return;  // all of it after the next connect
  for (const auto& [role, envelope] : roles) {
    session_->publish({transport::topics::metadata(role), envelope, true},
                      transport::Delivery::at_least_once, [role = role](Status status) {
                        if (!status) {
                          spdlog::warn("publishing {}: {}", role, status.error().message());
                        }
                      });
  }
}

void Daemon::Impl::send(const std::string& device, const std::string& json) {
  // What is lost here is sent again when the board's status says that it has not seen it.
  session_->publish({transport::topics::command(device), json, false},
                    transport::Delivery::at_least_once, [device](Status status) {
                      if (!status) {
                        spdlog::debug("command to {}: {}", device, status.error().message());
                      }
                    });
}

void Daemon::Impl::wake() {
  if (decide_soon_ || stopping_) return;
  decide_soon_ = true;
  decide_timer_.expires_after(gather);
  decide_timer_.async_wait([this](const boost::system::error_code& error) {
    decide_soon_ = false;
    if (error) return;
    driver_.tick();
    show_status();
  });
}

void Daemon::Impl::every(asio::steady_timer& timer, std::chrono::milliseconds period,
                         const std::function<void()>& work) {
  timer.expires_after(period);
  timer.async_wait([this, &timer, period, work](const boost::system::error_code& error) {
    if (error || stopping_) return;
    work();
    every(timer, period, work);
  });
}

void Daemon::Impl::show_status() {
  const auto devices = registry_->devices();
  const auto rollouts = registry_->rollouts();
  if (!devices || !rollouts) return;
  std::size_t enrolled = 0;
  for (const Device& device : *devices) enrolled += device.revoked ? 0 : 1;
  std::string line =
      std::to_string(ingest_.online_count()) + " of " + std::to_string(enrolled) + " boards online";
  for (const RolloutRecord& rollout : *rollouts) {
    if (has_ended(rollout.state)) continue;
    line += "; rollout " + rollout.name + ": " + std::string(to_string(rollout.state));
  }
  if (!keeper_.problem().empty()) line += "; cannot sign metadata: " + keeper_.problem();
  if (line == shown_) return;
  shown_ = line;
  platform::notify_status(line);
}

void Daemon::Impl::stop() {
  if (stopping_) return;
  stopping_ = true;
  platform::notify_stopping();
  server_.reset();
  for (asio::steady_timer* timer : {&decide_timer_, &reconcile_timer_, &sign_timer_}) {
    timer->cancel();
  }
  stop_timer_.expires_after(stop_at_most);
  stop_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) io_->stop();
  });
  session_->stop([this] { io_->stop(); });
}

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::start(asio::io_context& io, const HostConfig& config) {
  const StateFolder state{config.state};
  OUTCROP_CHECK(make_state_folder(state.folder));
  OUTCROP_TRY(lock,
              try_lock_file(state.lock(), 0640,
                            "another outcropd works in the state folder " + state.folder.string()));
  OUTCROP_TRY(registry, open_registry(state));
  OUTCROP_TRY(blobs, BlobStore::open(state.blobs()));
  static const SystemClock clock;
  OUTCROP_TRY(keeper, MetadataKeeper::open(*registry, clock, metadata_options(config.trust)));
  auto impl = std::make_unique<Impl>(io, config, std::move(lock), std::move(registry),
                                     std::move(blobs), std::move(keeper));
  OUTCROP_CHECK(impl->start());
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

Status Daemon::check(const HostConfig& config) {
  RoleEnvelopes stored;
  std::error_code error;
  if (const StateFolder state{config.state}; std::filesystem::exists(state.registry(), error)) {
    OUTCROP_TRY(registry, open_registry(state));
    OUTCROP_TRY(metadata, registry->metadata());
    stored = std::move(metadata);
  }
  OUTCROP_CHECK(MetadataKeeper::check(metadata_options(config.trust), stored));
  if (!config.broker.external) return check_program(config.broker.program);
  OUTCROP_TRY(authority, read_text_file(config.broker.external->boards_authority));
  return {};
}

void Daemon::stop() {
  impl_->stop();
}

}  // namespace outcrop::fleet
