#include "agent/agent.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>
#include "agent/control/handlers.hpp"
#include "agent/control/inference_handler.hpp"
#include "agent/enroll/broker_follower.hpp"
#include "agent/enroll/identity.hpp"
#include "agent/enroll/renewer.hpp"
#include "agent/prove/largest_answer.hpp"
#include "agent/telemetry/picture_teller.hpp"
#include "agent/telemetry/telemeter.hpp"
#include "agent/updates/metered_link.hpp"
#include "agent/verify/commands.hpp"
#include "agent/verify/metadata_follower.hpp"
#include "platform/http/server.hpp"
#include "platform/service/service.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/kept_clock.hpp"
#include "protocol/base/unfinished_files.hpp"
#include "protocol/base/version.hpp"
#include "protocol/transport/awaitable.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace topics = transport::topics;
namespace {

// Tensors that somebody gives to a model.
constexpr ByteCount longest_request = ByteCount::mib(64);
constexpr ByteCount beside_an_answer = ByteCount::mib(16);  // its header; with the smallest, room for such a request

using SteadyClock = std::chrono::steady_clock;

// Thousands of boards may have lost the same broker: they come back over so long, and then over twice as long.
constexpr std::chrono::seconds first_retry{2};

transport::SessionOptions session_options(const Identity& identity, const AgentConfig& config) {
  transport::SessionOptions options;
  const BrokerPlace broker = identity.next_broker().value_or(identity.broker());
  options.host = config.broker_host.empty() ? broker.host : config.broker_host;
  options.port = config.broker_port == 0 ? broker.port : config.broker_port;
  options.client_id = identity.device();
  options.tls = transport::TlsFiles{identity.authority_file(), identity.certificate_file(),
                                    identity.key_file()};
  options.first_retry = first_retry;
  return options;
}

// Of two that throw each other out, each is back within minutes.
constexpr std::chrono::hours twin_remembered{1};

const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace

class Agent::Impl {
 public:
  Impl(asio::any_io_executor executor, const AgentConfig& config, Identity identity,
       MetadataStore metadata, Ledger ledger, const DeployTimes& times,
       transport::SessionOptions options, const MakeSession& make_session)
      : executor_(executor),
        config_(config),
        identity_(std::move(identity)),
        metadata_(std::move(metadata)),
        ledger_(std::move(ledger)),
        slots_(Slots::open(config_.state / "releases", config_.disk_reserve, ledger_.found().slots,
                           {config_.keep_releases, config_.keep_bytes})),
        outbox_(Outbox::open(config_.state / "outbox",
                             std::max(system_clock().now(), metadata_.now()),
                             ledger_.found().report)),
        announcer_(executor, Board{identity_.device(), identity_.key(), config_, metadata_, slots_,
                                   engine_, outbox_,
                                   [this] { return join(troubles(), "; "); }}),
        broker_(options.host + ":" + std::to_string(options.port)),
        session_(make_session(executor, with_will(std::move(options)))),
        follower_(*session_, metadata_, config_.model),
        limits_(config_, system_clock(),
                {.clock_synchronised = clock_is_synchronised, .link_costs = [this] { return metered_link_ ? metered_link_->costs() : std::nullopt; }}),
        puller_(executor, *session_, identity_.device(), pull_options()),
        serving_(executor, config_, slots_),
        telemeter_(executor,
                   {Board{identity_.device(), identity_.key(), config_, metadata_, slots_, engine_, outbox_},
                    [this] { return serving_.take_served(); }, [this] { return serving_.restarts(); }}),
        picture_teller_(executor, Board{identity_.device(), identity_.key(), config_, metadata_, slots_, engine_, outbox_}),
        renewer_(executor, {identity_, outbox_, metadata_, [this] { if (begin_again_) begin_again_(); }, times.trial}),
        broker_follower_(executor, {identity_, config_, metadata_, [this] { if (begin_again_) begin_again_(); }, times.trial}),
        authority_(config_.state / "commands.json", identity_.enrolment().certificate, metadata_),
        deployer_(executor, {config_, metadata_, slots_, puller_, announcer_, serving_, engine_,
                             authority_, ledger_, limits_, times,
                             [this](messages::Picture picture) { picture_teller_.tell(std::move(picture)); }}) {
    serving_.tell([this](const Installed& release, CallEnd end) { deployer_.on_call(release, end); });
    announcer_.speak_through(*session_);
    telemeter_.speak_through(*session_);
    picture_teller_.speak_through(*session_);
    renewer_.speak_through(*session_);
    broker_follower_.start();
    if (config_.ask_network_manager) metered_link_.emplace(executor_).start();
    if (identity_.renewed()) authority_.settle();  // no other enrolment: generations go on
  }

  Status listen() {
    ControlParts parts{identity_.device(), broker_, lost_because_, config_,
                       *session_,          metadata_, slots_,      engine_,
                       deployer_,          serving_,  announcer_,
                       [this] { return troubles(); }, [this] { return next_expiry(); },
                       [this](const std::string& role, const std::string& envelope) { return accept(role, envelope); },
                       renewer_,
                       make_inference_handler({executor_, config_, slots_, deployer_, serving_})};
    const http::RoomOptions room{ByteCount(largest_answer().value() + beside_an_answer.value())};
    http::ServerOptions local{config_.socket, config_.socket_mode, longest_request};
    local.room = room;
    OUTCROP_TRY(server, http::Server::listen(executor_, local, make_control_handler(parts)));
    server_.emplace(std::move(server));
    if (config_.serve_port == 0) return {};
    http::TcpOptions tcp;
    tcp.address = config_.serve_address;
    tcp.port = config_.serve_port;
    tcp.longest_body = longest_request;
    tcp.room = room;
    auto inference = http::Server::listen_tcp(executor_, tcp, parts.inference);
    if (inference) {
      inference_server_.emplace(std::move(*inference));
    } else {
      // No reason to serve nothing at all.
      tcp_trouble_ = "no inference by TCP: " + inference.error().message();
      spdlog::error("{}", *tcp_trouble_);
    }
    return {};
  }

  void on_begin_again(std::function<void()> begin_again) { begin_again_ = std::move(begin_again); }

  void start() {
    platform::spawn(executor_, deployer_.run());
    session_->start({.connected = [this] { on_connected(); },
                     .lost = [this](const Error& error) { on_lost(error); },
                     .message = [this](transport::Message message) { on_message(message); }});
    spdlog::info("outcrop-agent {} for {} ({}, {}), session {}, broker {}", version(),
                 identity_.device(), config_.model, config_.device_class, outbox_.session(),
                 broker_);
    if (!metadata_.director()) {
      spdlog::info("root {} names no director: commands count unsigned, as the broker brings them",
                   metadata_.root_version());
    }
  }

  asio::awaitable<void> stop() {
    server_.reset();
    inference_server_.reset();
    telemeter_.stop();
    picture_teller_.stop();
    renewer_.stop();
    broker_follower_.stop();
    if (metered_link_) metered_link_->stop();
    deployer_.stop();
    if (session_->connected()) {
      transport::Message goodbye = offline_status(deployer_.record());
      const Status said = co_await transport::publish(*session_, std::move(goodbye),
                                                      transport::Delivery::at_least_once);
      if (!said) spdlog::debug("saying good-bye: {}", said.error().message());
    }
    co_await transport::stop(*session_);
  }

  [[nodiscard]] bool busy() const { return deployer_.busy() || serving_.busy(); }

 private:
  transport::SessionOptions with_will(transport::SessionOptions options) const {
    options.will = offline_status(ledger_.found().record);
    return options;
  }

  [[nodiscard]] PullOptions pull_options() {
    PullOptions options;
    options.most_a_second = config_.most_a_second;
    options.received = [this](ByteCount bytes) { limits_.received(bytes); };
    return options;
  }

  [[nodiscard]] transport::Message offline_status(const Record& record) const {
    return {topics::status(identity_.device()),
            announcer_.status_text(record, false), true};
  }

  [[nodiscard]] std::vector<std::string> troubles() const {
    std::vector<std::string> all;
    for (const auto& trouble :
         {identity_.trouble(), metadata_.trouble(), slots_.trouble(), outbox_.trouble()}) {
      if (trouble) all.push_back(*trouble);
    }
    if (tcp_trouble_) all.push_back(*tcp_trouble_);
    if (const auto trouble = broker_follower_.trouble()) all.push_back(*trouble);
    for (std::string& trouble : deployer_.troubles()) all.push_back(std::move(trouble));
    if (twin_seen_ && SteadyClock::now() < *twin_seen_ + twin_remembered) {
      all.push_back("another board or program connects with this board's identity: " +
                    identity_.device() + " is enrolled twice, or its card was copied");
    }
    return all;
  }

  [[nodiscard]] std::optional<Expiry> next_expiry() const {
    std::optional<Expiry> next;
    if (const auto certificate = trust::read_certificate(identity_.enrolment().certificate)) {
      next = Expiry{"the board's certificate", certificate->not_after};
    }
    for (const Expiry& expiry : metadata_.expiries()) {
      if (!expiry.renewed_by_host && (!next || expiry.when < next->when)) next = expiry;
    }
    return next;
  }

  void on_connected() {
    spdlog::info("connected to {}", broker_);
    lost_because_.reset();
    platform::spawn(executor_, subscribe());
  }

  // The status comes last: it is what the host answers with an offer.
  asio::awaitable<void> subscribe() {
    const std::vector<std::string> filters{topics::receive(identity_.device()),
                                           topics::command(identity_.device()),
                                           topics::ask(identity_.device())};
    for (std::size_t i = 0; i < filters.size(); ++i) {
      const Status done =
          co_await transport::subscribe(*session_, filters[i], transport::Delivery::at_least_once);
      if (!done) {
        spdlog::warn("subscribing to {}: {}", filters[i], done.error().message());
        co_return;  // the connection is gone; the next one tries again
      }
    }
    if (const Status begun = co_await follower_.begin(); !begun) {
      spdlog::warn("asking for metadata: {}", begun.error().message());
      co_return;
    }
    broker_follower_.on_subscribed();
    puller_.on_connected();
    announcer_.status(deployer_.record());
    announcer_.on_connected();
    telemeter_.on_connected();
    picture_teller_.on_connected();
    renewer_.on_connected();
  }

  void on_lost(const Error& error) {
    puller_.on_lost();
    if (error.code() == ErrorCode::already_exists) twin_seen_ = SteadyClock::now();
    // Said once for each reason: the attempts go on for as long as it takes.
    if (lost_because_ == error.message()) return;
    lost_because_ = error.message();
    spdlog::warn("no connection to {}: {}", broker_, *lost_because_);
  }

  void on_message(const transport::Message& message) {
    if (message.topic == topics::receive(identity_.device())) {
      puller_.on_frame(message.payload);
    } else if (message.topic == topics::command(identity_.device())) {
      on_command(message.payload);
    } else if (message.topic == topics::ask(identity_.device())) {
      on_asked(message.payload);
    } else if (message.topic.starts_with(topics::metadata_prefix)) {
      on_metadata(message.topic.substr(topics::metadata_prefix.size()), message.payload);
    }
  }

  void on_command(const std::string& payload) {
    const auto command = read_command(metadata_, identity_.device(), payload);
    if (!command) return on_refused(command.error());
    if (messages::is_asked(*command)) {
      return on_refused(Error(ErrorCode::refused, "what is asked comes on a topic of its own"));
    }
    if (const auto* offer = std::get_if<messages::Offer>(&*command)) deployer_.on_offer(*offer);
    if (const auto* cancel = std::get_if<messages::Cancel>(&*command)) deployer_.on_cancel(*cancel);
    if (const auto* seen = std::get_if<messages::Acknowledgement>(&*command)) {
      announcer_.on_acknowledged(*seen);
      telemeter_.on_acknowledged(*seen);
      picture_teller_.on_acknowledged(*seen);
      renewer_.on_acknowledged(*seen);
    }
    if (const auto* used = std::get_if<messages::Used>(&*command)) on_used(*used);
  }

  // Only what a director signed counts here.
  void on_asked(const std::string& payload) {
    if (!metadata_.director()) {
      return on_refused(Error(ErrorCode::untrusted, "nobody signs what is asked: root names no director"));
    }
    const auto command = read_command(metadata_, identity_.device(), payload);
    if (!command) return on_refused(command.error());
    if (const auto* watch = std::get_if<messages::Watch>(&*command)) telemeter_.on_watch(*watch);
    if (const auto* measure = std::get_if<messages::Measure>(&*command)) deployer_.on_measure(*measure);
    if (const auto* draw = std::get_if<messages::Draw>(&*command)) deployer_.on_draw(*draw);
    if (const auto* issued = std::get_if<messages::Certificate>(&*command)) renewer_.on_certificate(*issued);
    if (const auto* move = std::get_if<messages::Move>(&*command)) on_move(*move);
  }

  // Whoever forges them shall not fill the log: the 1st is told, then the 2nd, 4th, 8th, ...
  void on_move(const messages::Move& move) {
    const Status followed = broker_follower_.on_move(move);
    if (!followed) on_refused(followed.error());
    announcer_.status(deployer_.record());  // with what is wrong, or no more
  }

  void on_refused(const Error& error) {
    ++refused_commands_;
    if ((refused_commands_ & (refused_commands_ - 1)) != 0) return;
    spdlog::warn("a command is refused: {} ({} so far)", error.message(), refused_commands_);
  }

  void on_used(const messages::Used& used) {
    if (used.session < outbox_.session()) return;  // said before a later one began
    if (messages::leaps(used.session, outbox_.session())) {
      return spdlog::warn("session {} leaps beyond {}: nobody was given it", used.session,
                          outbox_.session());
    }
    spdlog::warn(
        "the host has messages of session {} from this board already, as after its card was "
        "restored to an older image: a new session begins",
        used.session);
    outbox_.begin_session(used.session, std::max(system_clock().now(), metadata_.now()));
    session_->change_will(offline_status(deployer_.record()));
  }

  void on_metadata(const std::string& role, const std::string& envelope) {
    if (role.starts_with("stage-") && role != trust::stage_role(config_.model)) return;
    const Status accepted = accept(role, envelope);
    follower_.on_role(role, envelope);
    // Kept aside: what is still to come may vouch for it.
    if (!accepted) spdlog::info("metadata {} does not count yet: {}", role, accepted.error().message());
  }

  Status accept(const std::string& role, const std::string& envelope) {
    const bool directed = metadata_.director().has_value();
    OUTCROP_TRY(changed, metadata_.accept(role, envelope));
    if (changed) deployer_.on_metadata();
    // A host that takes signed words only takes no other will.
    if (directed != metadata_.director().has_value()) {
      session_->change_will(offline_status(deployer_.record()));
    }
    return {};
  }

  asio::any_io_executor executor_;
  const AgentConfig config_;
  const Identity identity_;
  MetadataStore metadata_;
  Ledger ledger_;
  Slots slots_;
  Outbox outbox_;
  std::optional<runtime::Hello> engine_;
  Announcer announcer_;
  std::string broker_;
  std::unique_ptr<transport::Session> session_;
  MetadataFollower follower_;
  std::optional<MeteredLink> metered_link_;
  UpdateLimits limits_;
  Puller puller_;
  Serving serving_;
  Telemeter telemeter_;
  PictureTeller picture_teller_;
  Renewer renewer_;
  BrokerFollower broker_follower_;
  std::function<void()> begin_again_;
  CommandAuthority authority_;
  Deployer deployer_;
  std::uint64_t refused_commands_ = 0;
  std::optional<std::string> lost_because_;  // there is no connection, and why
  std::optional<SteadyClock::time_point> twin_seen_;
  std::optional<http::Server> server_;       // shows all of the above
  std::optional<http::Server> inference_server_;
  std::optional<std::string> tcp_trouble_;
};

Agent::Agent(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::open(asio::any_io_executor executor,
                                           const AgentConfig& config, const DeployTimes& times,
                                           const MakeSession& make_session) {
  const SystemClock& clock = system_clock();
  OUTCROP_TRY(identity, Identity::open(config.state));
  const messages::EnrolmentBundle& enrolment = identity.enrolment();
  if (enrolment.model != config.model || enrolment.device_class != config.device_class) {
    return fail(ErrorCode::invalid_argument, "the configuration says " + config.model + " on " +
                                                 config.device_class +
                                                 "; this board was enrolled for " +
                                                 enrolment.model + " on " + enrolment.device_class);
  }
  OUTCROP_TRY(metadata, MetadataStore::open(config.state / "metadata", enrolment.root_envelope,
                                            config.model, clock, clock_is_synchronised, enrolment.versions,
                                            enrolment.time));
  auto options = session_options(identity, config);
  std::unique_ptr<Agent> agent(new Agent(
      std::make_unique<Impl>(std::move(executor), config, std::move(identity), std::move(metadata),
                             Ledger::open(config.state), times, std::move(options), make_session)));
  OUTCROP_CHECK(agent->impl_->listen());
  // Only now is it certain that no other agent writes here.
  for (const char* folder : {"", "metadata", "outbox", "releases"}) {
    if (auto tidied = remove_unfinished_files(config.state / folder); !tidied) {
      spdlog::warn("{}", tidied.error().message());
    }
  }
  return agent;
}

void Agent::on_begin_again(std::function<void()> begin_again) {
  impl_->on_begin_again(std::move(begin_again));
}

void Agent::start() {
  impl_->start();
}

asio::awaitable<void> Agent::stop() {
  return impl_->stop();
}

bool Agent::busy() const {
  return impl_->busy();
}

}  // namespace outcrop::agent
