#pragma once

#include <utility>  // before Asio

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "platform/service/service.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/transport/session.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/broker/broker.hpp"
#include "trainer_host/fleet/broker/heartbeat.hpp"
#include "trainer_host/fleet/broker/slow_readers.hpp"
#include "trainer_host/fleet/daemon.hpp"
#include "trainer_host/fleet/depot/depot.hpp"
#include "trainer_host/fleet/depot/scrub.hpp"
#include "trainer_host/fleet/ingest/knocking.hpp"
#include "trainer_host/fleet/log/news.hpp"
#include "trainer_host/fleet/metadata/director.hpp"
#include "trainer_host/fleet/monitor/asker.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"
#include "trainer_host/fleet/monitor/owner_notes.hpp"
#include "trainer_host/fleet/monitor/feed.hpp"
#include "trainer_host/fleet/registry/file_in_place.hpp"
#include "trainer_host/fleet/state_folder.hpp"
#include "trainer_host/fleet/webhook/webhooks.hpp"

namespace outcrop::fleet {

namespace asio = boost::asio;

[[nodiscard]] monitor::HistoryOptions history_options(const HostConfig& config);

// What holds the parts together: daemon.cpp starts and ends them, daemon_handlers.cpp says what each wants of the others,
// daemon_broker.cpp speaks with boards, daemon_server.cpp with everybody else.
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
  void send(const std::string& device, const messages::Command& command) { transmit(device, command, std::nullopt); }
  // Left with the broker until then, for a board that may be offline and a host that may be at another broker by the time it is back.
  void leave(const std::string& device, const messages::Command& command, Timestamp until) { transmit(device, command, until); }
  void transmit(const std::string& device, const messages::Command& command, std::optional<Timestamp> left_until);
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
  monitor::OwnerNotes owner_notes_{audit_};
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

}  // namespace outcrop::fleet
