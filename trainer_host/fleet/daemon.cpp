#include "trainer_host/fleet/daemon.hpp"

#include <fcntl.h>
#include <grp.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <boost/asio/post.hpp>

#include "protocol/base/counted.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/kept_clock.hpp"
#include "protocol/base/unmounted_disk.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"
#include "trainer_host/fleet/daemon_impl.hpp"
#include "trainer_host/fleet/metadata/expiry.hpp"
#include "trainer_host/fleet/metadata/release_states.hpp"
#include "trainer_host/fleet/monitor/store.hpp"
#include "trainer_host/fleet/prune/prune.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::chrono::milliseconds gather{50};  // changes that are decided upon together
constexpr std::chrono::seconds reconcile_every{15};
constexpr std::chrono::milliseconds most_late{60};  // beyond, a lot is not waited with for longer
constexpr std::chrono::milliseconds listen_every{250};  // to boards that said too much at once
constexpr std::chrono::milliseconds tell_every{200};    // who looks, what changed
constexpr std::chrono::seconds sign_every{60};  // looks whether something is due
constexpr std::chrono::minutes scrub_pause{5};  // between two blobs
constexpr std::chrono::seconds stop_at_most{5};
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

Result<std::unique_ptr<Registry>> open_registry(const StateFolder& state) {
  auto registry = open_sqlite_registry(state.registry());
  if (!registry) return fail(registry.error().context("the registry"));
  return registry;
}

}  // namespace

monitor::HistoryOptions history_options(const HostConfig& config) {
  monitor::HistoryOptions options;
  options.folder = StateFolder{config.state}.history();
  options.postgres = config.history.store;
  options.most = config.monitor.history;
  return options;
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
