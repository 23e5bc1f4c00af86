#include "trainer_host/fleet/daemon.hpp"

#include <fcntl.h>
#include <grp.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <thread>

#include "platform/http/server.hpp"
#include "platform/service/service.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/kept_clock.hpp"
#include "protocol/base/unmounted_disk.hpp"
#include "protocol/transport/name_lookup.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/broker/broker.hpp"
#include "trainer_host/fleet/broker/configuration.hpp"
#include "trainer_host/fleet/broker/heartbeat.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"
#include "trainer_host/fleet/broker/slow_readers.hpp"
#include "trainer_host/fleet/depot/depot.hpp"
#include "trainer_host/fleet/depot/scrub.hpp"
#include "trainer_host/fleet/ingest/knocking.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"
#include "trainer_host/fleet/ingest/revocations.hpp"
#include "trainer_host/fleet/log/news.hpp"
#include "trainer_host/fleet/metadata/director.hpp"
#include "trainer_host/fleet/metadata/expiry.hpp"
#include "trainer_host/fleet/metadata/release_states.hpp"
#include "trainer_host/fleet/monitor/asker.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"
#include "trainer_host/fleet/monitor/feed.hpp"
#include "trainer_host/fleet/monitor/store.hpp"
#include "trainer_host/fleet/prune/prune.hpp"
#include "trainer_host/fleet/registry/file_in_place.hpp"
#include "trainer_host/fleet/state_folder.hpp"
#include "trainer_host/fleet/webhook/webhooks.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::seconds moments_of_a_restart{15};  // in which boards and host are back
constexpr std::chrono::milliseconds gather{50};  // changes that are decided upon together
constexpr std::chrono::milliseconds gather_messages{10};  // messages that are stored together
constexpr std::size_t most_unheard = 20'000;  // of messages: a fleet's statuses come all at once
constexpr std::chrono::seconds reconcile_every{15};
constexpr std::chrono::milliseconds most_late{60};  // beyond, a lot is not waited with for longer
constexpr std::chrono::milliseconds listen_every{250};  // to boards that said too much at once
constexpr std::chrono::milliseconds tell_every{200};    // who looks, what changed
constexpr std::chrono::seconds sign_every{60};  // looks whether something is due
constexpr std::chrono::minutes scrub_pause{5};  // between two blobs
constexpr std::chrono::seconds stop_at_most{5};
constexpr std::size_t status_page = 500;  // boards that are asked at once, each by itself
constexpr std::chrono::hours prune_every{6};

// On an empty mount point it would begin as a host that knows no board.
Status check_mounted(const std::filesystem::path& folder) {
  const auto disk = unmounted_disk_of(folder);
  if (!disk) return {};
  return fail(ErrorCode::refused, "the state folder " + folder.string() + " belongs on the disk of " +
                                      disk->string() + " (fstab), and nothing is mounted there: "
                                      "mount it first");
}

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
  options.director_key = trust.director_key;
  options.timestamp_validity = trust.timestamp_validity;
  options.believe_clock = trust.believe_clock;
  options.clock_synchronised = clock_is_synchronised;
  return options;
}

monitor::HistoryOptions history_options(const HostConfig& config) {
  monitor::HistoryOptions options;
  options.folder = StateFolder{config.state}.history();
  options.postgres = config.history.store;
  options.most = config.monitor.history;
  return options;
}

std::map<std::string, Role> certificates_of(const HostConfig& config) {
  std::map<std::string, Role> roles;
  if (!config.http || !config.http->certificates) return roles;
  for (const auto& [name, word] : config.http->certificates->roles) {
    if (const auto role = role_from(word)) roles.emplace(name, *role);
  }
  return roles;
}

Result<std::unique_ptr<Registry>> open_registry(const StateFolder& state) {
  auto registry = open_sqlite_registry(state.registry());
  if (!registry) return fail(registry.error().context("the registry"));
  return registry;
}

}  // namespace

class Daemon::Impl {
 public:
  Impl(asio::io_context& io, asio::io_context& answers, HostConfig config, UniqueFd lock, std::unique_ptr<Registry> registry,
       std::unique_ptr<Registry> reader, FileInPlace in_place, BlobStore blobs, MetadataKeeper keeper, Tokens tokens)
      : io_(&io),
        answers_(&answers),
        config_(std::move(config)),
        lock_(std::move(lock)),
        registry_(std::move(registry)),
        reader_(std::move(reader)),
        in_place_(std::move(in_place)),
        blobs_(std::move(blobs)),
        keeper_(std::move(keeper)),
        tokens_(std::move(tokens)),
        director_(clock_, config_.trust.director_key,
                  [this]() -> const RoleSet& { return keeper_.roles(); }, [this] { return keeper_.check_clock(); }),
        audit_(*registry_, clock_),
        audit_read_(*reader_, clock_),
        feed_(io.get_executor(), history_options(config_),
              [this](const std::string& device, const messages::Acknowledgement& kept) { send(device, kept); }),
        asker_(*registry_, clock_, {config_.monitor.interval, config_.monitor.measure_every},
               asker_surroundings()),
        knocking_(*registry_, clock_, [this](const std::string& who, const std::string& detail) {
          news_.report("the audit log", audit_.record("outcropd", "knocked", who, detail));
        }),
        ingest_(*registry_, clock_, ingest_handlers()),
        driver_(*registry_, clock_, blobs_, surroundings(), config_.rollout.patience),
        inbox_timer_(io),
        decide_timer_(io),
        reconcile_timer_(io),
        listen_timer_(io),
        tell_timer_(io),
        sign_timer_(io),
        prune_timer_(io),
        stop_timer_(io) {}
  ~Impl() {
    answers_->stop();
    if (answering_.joinable()) answering_.join();
  }

  Status start();
  void stop();

 private:
  IngestHandlers ingest_handlers();
  RolloutSurroundings surroundings();
  monitor::Asker::Surroundings asker_surroundings();
  void add_monitor_handlers(IngestHandlers& handlers);
  Status start_broker();
  void start_session();
  Status start_server();
  [[nodiscard]] BrokerAccess broker_access();
  [[nodiscard]] Status trust_devices(const DeviceAuthority& authority);

  void warn_of_expiry();
  void on_silence(std::chrono::milliseconds silence);
  void subscribe(const std::string& filter);
  void on_connected();
  void on_lost(const Error& error);
  void on_restart(const std::string& why);
  [[nodiscard]] std::string restarting() const;
  void on_message(transport::Message message);
  void take_inbox();
  [[nodiscard]] bool ends_without_its_database();
  void publish(const RoleEnvelopes& roles);
  void send(const std::string& device, const messages::Command& command);
  void sign_above(const std::string& device);
  void ask_for_status();
  void ask_those_unheard();
  void prune_state();
  void wake();
  void every(asio::steady_timer& timer, std::chrono::milliseconds period,
             const std::function<void()>& work);
  void show_status();

  // Members are destroyed from the last to the first: who is called back goes last.
  asio::io_context* io_;
  asio::io_context* answers_;
  HostConfig config_;
  SystemClock clock_;
  News news_;
  UniqueFd lock_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Registry> reader_;  // of the thread that answers, as is audit_read_
  FileInPlace in_place_;              // of both
  BlobStore blobs_;
  MetadataKeeper keeper_;
  Tokens tokens_;
  Director director_;
  monitor::RegistryAuditLog audit_, audit_read_;
  monitor::Feed feed_;
  monitor::Asker asker_;
  Knocking knocking_;
  Ingest ingest_;
  RolloutDriver driver_;
  std::unique_ptr<Broker> broker_;  // none where it is another's
  std::string boards_authority_;
  std::unique_ptr<transport::Session> session_;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::unique_ptr<Depot> depot_;
  std::optional<SlowReaders> slow_readers_;  // none where the broker is another's
  asio::thread_pool worker_{1};
  std::unique_ptr<Scrub> scrub_;
  std::unique_ptr<Webhooks> webhooks_;
  std::unique_ptr<Api> api_;
  // Of the thread that answers, from its start on:
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> readers_;  // none where no group is to read only
  std::unique_ptr<http::Server> pages_;  // none where [http] is not said
  asio::executor_work_guard<asio::io_context::executor_type> answering_on_{answers_->get_executor()};
  std::thread answering_;
  asio::steady_timer inbox_timer_;
  asio::steady_timer decide_timer_;
  asio::steady_timer reconcile_timer_;
  asio::steady_timer listen_timer_;
  asio::steady_timer tell_timer_;
  asio::steady_timer sign_timer_;
  asio::steady_timer prune_timer_;
  asio::steady_timer stop_timer_;
  std::unique_ptr<platform::Watchdog> watchdog_;
  std::string restarting_;  // why our broker was started again, last
  std::chrono::steady_clock::time_point restarted_;
  std::string shown_;  // what systemd was told last
  std::string said_of_expiry_;
  std::uint64_t overflowed_ = 0;  // of the session, when it was looked at last
  std::chrono::nanoseconds last_tick_{0};  // how long it took
  std::chrono::nanoseconds late_{0};       // after its time, it began
  std::vector<transport::Message> inbox_;  // of boards, not taken yet
  bool decide_soon_ = false;
  bool stopping_ = false;
};

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
  handlers.shut_out = [this](const std::string& device) { knocking_.by_name(device); };
  add_monitor_handlers(handlers);
  return handlers;
}

void Daemon::Impl::add_monitor_handlers(IngestHandlers& handlers) {
  handlers.telemetry = [this](messages::Telemetry telemetry, Timestamp at) {
    return feed_.on_telemetry(std::move(telemetry), at, clock_.now());
  };
  handlers.held = [this](const std::string& device, bool held) {
    news_.report("the audit log", audit_.record("owner of " + device, held ? "hold" : "hold-ended", device));
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

Status Daemon::Impl::start() {
  OUTCROP_CHECK(update_release_states(*registry_, keeper_.roles()));
  OUTCROP_CHECK(start_broker());
  start_session();
  OUTCROP_TRY(webhooks, Webhooks::start(io_->get_executor(), *registry_, audit_, clock_, config_.webhooks, {}));
  webhooks_ = std::move(webhooks);
  OUTCROP_CHECK(start_server());
  answering_ = std::thread([this] { answers_->run(); });
  every(reconcile_timer_, reconcile_every, [this] {
    const std::uint64_t before = std::exchange(overflowed_, session_->overflowed());
    const bool lost_some = overflowed_ != before;
    news_.report("the broker sends more than is taken here",
                 lost_some ? fail(ErrorCode::refused, counted(overflowed_, "message was", "messages were") +
                                                          " let go so far")
                           : Status());
    if (ingest_.owes_status() || lost_some) ask_for_status();
    ask_those_unheard();
    driver_.reconcile();
    driver_.tick();  // patience runs out without a message
    asker_.tick();
    api_->rollouts_changed();
    show_status();
  });
  every(listen_timer_, listen_every, [this] {
    if (!ends_without_its_database()) ingest_.take_waiting();
  });
  every(tell_timer_, tell_every, [this] { api_->tell(); });
  every(sign_timer_, sign_every, [this] {
    const auto changed = keeper_.refresh();
    news_.report("metadata", changed ? Status() : fail(changed.error()));
    if (changed) publish(*changed);
    warn_of_expiry();
  });
  every(prune_timer_, prune_every, [this] { prune_state(); });
  warn_of_expiry();
  scrub_ = std::make_unique<Scrub>(io_->get_executor(), worker_, blobs_, scrub_pause);
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
    slow_readers_.emplace([this] { return depot_->take_heaviest(); }, [this](const std::string& device) { broker_->disconnect(device); });
  }
  transport::SessionHandlers handlers;
  handlers.connected = [this] { on_connected(); };
  handlers.lost = [this](const Error& error) { on_lost(error); };
  handlers.message = [this](transport::Message message) { on_message(std::move(message)); };
  session_->start(std::move(handlers));
  heartbeat_ = std::make_unique<Heartbeat>(
      io_->get_executor(), *session_, Heartbeat::of(config_.broker.patience),
      [this](std::chrono::milliseconds silence) { on_silence(silence); });
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

Status Daemon::Impl::start_server() {
  api_ = std::make_unique<Api>(
      ApiParts{answers_->get_executor(), io_->get_executor(), *registry_, *reader_, clock_, blobs_, keeper_, driver_, ingest_, broker_access(),
               [this](const RoleEnvelopes& roles) { publish(roles); }, config_.rollout, worker_,
               tokens_, config_.http && config_.http->open_to_viewers, feed_.history(), &audit_read_,
               [this](const std::string& who, const Audited& what) {
                 news_.report("the audit log", audit_.record(who, what.action, what.subject, what.detail));
               },
               [this](const monitor::MeasureRequest& request) { return asker_.measure(request); },
               StateFolder{config_.state}.registry(), [this] { return in_place_.check(); }, [this] {
                 auto words = webhooks_ ? webhooks_->undelivered() : std::vector<std::string>();
                 for (std::string& knocks : knocking_.words()) words.push_back(std::move(knocks));
                 return words;
               }, certificates_of(config_)});
  api_->look_at_older_releases();
  std::error_code error;
  std::filesystem::create_directories(config_.socket.parent_path(), error);
  http::ServerOptions options;
  options.socket = config_.socket;
  options.mode = config_.socket_mode;
  options.longest_body = ByteCount::mib(10);
  OUTCROP_TRY(server,
              http::Server::listen(answers_->get_executor(), options, [this](http::Request request) {
                return api_->handle(std::move(request), Role::admin);
              }));
  server_ = std::make_unique<http::Server>(std::move(server));
  if (config_.readers_group) {
    options.socket = config_.readers_socket();
    options.mode = 0660;
    options.group = config_.readers_group;
    OUTCROP_TRY(readers, http::Server::listen(answers_->get_executor(), options, [this](http::Request request) {
                  return api_->handle(std::move(request), Role::viewer);
                }));
    readers_ = std::make_unique<http::Server>(std::move(readers));
  }
  if (!config_.http) return {};
  http::TcpOptions tcp;
  tcp.address = config_.http->address;
  tcp.port = config_.http->port;
  tcp.longest_body = options.longest_body;
  if (config_.http->certificate) {
    tcp.tls = http::TcpOptions::Tls{*config_.http->certificate, *config_.http->key};
    if (config_.http->certificates) tcp.tls->client_authority = config_.http->certificates->authority;
  }
  OUTCROP_TRY(pages,
              http::Server::listen_tcp(answers_->get_executor(), tcp, [this](http::Request request) {
                return api_->handle_tcp(std::move(request));
              }));
  pages_ = std::make_unique<http::Server>(std::move(pages));
  const bool six = tcp.address.find(':') != std::string::npos;
  spdlog::info("pages at {}://{}:{}/", tcp.tls ? "https" : "http",
               six ? "[" + tcp.address + "]" : tcp.address, pages_->port());
  return {};
}

// Once a day: the words say how many days are left.
void Daemon::Impl::warn_of_expiry() {
  const auto words = expiry_words(keeper_.roles(), clock_.now());
  if (words && *words != said_of_expiry_) spdlog::warn("{}", *words);
  said_of_expiry_ = words.value_or("");
}

void Daemon::Impl::prune_state() {
  if (driver_.behind_fleet().words().value_or(std::nullopt)) return;  // boards want more than is known here
  const auto pruned = prune(*registry_, blobs_, clock_.now());
  news_.report("removing what nobody wants any more", pruned ? Status() : fail(pruned.error()));
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

void Daemon::Impl::on_connected() {
  spdlog::info("connected to the broker");
  news_.report("no connection to the broker", {});
  for (const char* kind : {"progress", "report", "telemetry"}) subscribe(transport::topics::up("+", kind));
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

void Daemon::Impl::send(const std::string& device, const messages::Command& command) {
  const auto text = [&]() -> Result<std::string> {
    OUTCROP_TRY(board, registry_->device(device));
    if (!board) return fail(ErrorCode::not_found, "'" + device + "' is not enrolled");
    return director_.write(*board, command);
  }();
  news_.report("commands to boards", text ? Status() : fail(text.error()));
  if (!text) return;
  // What is lost here is sent again when the board's status says that it has not seen it.
  const std::string topic = messages::is_asked(command) ? transport::topics::ask(device)
                                                        : transport::topics::command(device);
  registry_->when_committed([this, topic, text = *text, device] {
    session_->publish({topic, text, false},
                      transport::Delivery::at_least_once, [device](Status status) {
                        if (!status) {
                          spdlog::debug("command to {}: {}", device, status.error().message());
                        }
                      });
  });
}

void Daemon::Impl::wake() {
  if (decide_soon_ || stopping_) return;
  decide_soon_ = true;
  // Never more than a quarter of the time, however much there is to decide; and less where the loop is behind with what boards
  // said of the last lot: whoever is offered something has something to say.
  decide_timer_.expires_after(std::max<std::chrono::nanoseconds>(gather, 3 * last_tick_ + 2 * late_));
  decide_timer_.async_wait([this](const boost::system::error_code& error) {
    decide_soon_ = false;
    if (error) return;
    const auto begun = std::chrono::steady_clock::now();
    late_ = std::min<std::chrono::nanoseconds>(begun - decide_timer_.expiry(), most_late);
    driver_.tick_changed();
    api_->rollouts_changed();
    show_status();
    last_tick_ = std::chrono::steady_clock::now() - begun;
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
  const auto enrolled = registry_->count_enrolled();
  const auto rollouts = registry_->rollouts_under_way();
  if (!enrolled || !rollouts) return;
  std::string line = std::to_string(ingest_.presence().online_count()) + " of " + counted(*enrolled, "board") + " online";
  for (const RolloutRecord& rollout : *rollouts) {
    line += "; rollout " + rollout.name + ": " + std::string(to_string(rollout.state));
  }
  if (const auto older = driver_.behind_fleet().words(); older && *older) {
    line += "; older than the fleet: nothing is offered (outcrop fleet devices says what to do)";
  }
  if (const auto expiry = expiry_words(keeper_.roles(), clock_.now())) line += "; " + *expiry;
  if (!keeper_.problem().empty()) line += "; cannot sign metadata: " + keeper_.problem();
  if (line == shown_) return;
  shown_ = line;
  platform::notify_status(line);
}

void Daemon::Impl::stop() {
  if (stopping_) return;
  stopping_ = true;
  platform::notify_stopping();
  asio::post(*answers_, [this] {
    server_.reset();
    readers_.reset();
    pages_.reset();
  });
  scrub_.reset();
  heartbeat_.reset();
  webhooks_.reset();
  for (asio::steady_timer* timer : {&inbox_timer_, &decide_timer_, &reconcile_timer_, &listen_timer_, &tell_timer_,
                                    &sign_timer_, &prune_timer_}) {
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

Result<std::unique_ptr<Daemon>> Daemon::start(asio::io_context& io, asio::io_context& answers, const HostConfig& config) {
  const StateFolder state{config.state};
  OUTCROP_CHECK(check_mounted(state.folder));
  OUTCROP_CHECK(make_state_folder(state.folder));
  OUTCROP_TRY(lock,
              try_lock_file(state.lock(), 0640,
                            "another outcropd works in the state folder " + state.folder.string()));
  if (!config.history.store.empty()) {
    // A server may be away for now; a URL that means nothing, or no libpq, will not mend itself.
    if (const auto store = monitor::open_postgres_store(config.history.store); !store) {
      return fail(store.error().context("[history] store"));
    }
  }
  OUTCROP_TRY(registry, open_registry(state));
  OUTCROP_TRY(reader, read_sqlite_registry(state.registry()));
  OUTCROP_TRY(in_place, FileInPlace::of(state.registry()));
  OUTCROP_TRY(blobs, BlobStore::open(state.blobs()));
  static const SystemClock clock;
  OUTCROP_TRY(keeper, MetadataKeeper::open(*registry, clock, metadata_options(config.trust)));
  OUTCROP_TRY(tokens, Tokens::open(state.tokens()));
  auto impl = std::make_unique<Impl>(io, answers, config, std::move(lock), std::move(registry), std::move(reader),
                                     std::move(in_place), std::move(blobs), std::move(keeper), std::move(tokens));
  OUTCROP_CHECK(impl->start());
  return std::unique_ptr<Daemon>(new Daemon(std::move(impl)));
}

Result<std::vector<std::string>> Daemon::check(const HostConfig& config) {
  OUTCROP_CHECK(check_mounted(config.state));
  if (config.readers_group && ::getgrnam(config.readers_group->c_str()) == nullptr) {
    return fail(ErrorCode::not_found, "readers_group: there is no group '" + *config.readers_group + "' here (systemd-sysusers makes outcrop-readers)");
  }
  RoleEnvelopes stored;
  std::error_code error;
  if (const StateFolder state{config.state}; std::filesystem::exists(state.registry(), error)) {
    // Only read: an outcropd of an earlier version may work in it.
    OUTCROP_TRY(registry, read_sqlite_registry(state.registry()));
    OUTCROP_TRY(metadata, registry->metadata());
    stored = std::move(metadata);
  }
  OUTCROP_TRY(roles, MetadataKeeper::check(metadata_options(config.trust), stored));
  if (config.broker.external) {
    OUTCROP_TRY(authority, read_text_file(config.broker.external->boards_authority));
  } else {
    OUTCROP_CHECK(check_program(config.broker.program));
  }
  if (!config.history.store.empty()) {
    if (const Status checked = monitor::check_postgres_store(config.history.store); !checked) {
      return fail(checked.error().context("[history] store"));
    }
  }
  std::vector<std::string> soon;
  if (auto words = expiry_words(roles, SystemClock().now())) soon.push_back(std::move(*words));
  return soon;
}

void Daemon::stop() {
  impl_->stop();
}

}  // namespace outcrop::fleet
