#pragma once

#include "bench/fleet/connection.hpp"

#include <chrono>
#include <map>
#include <random>
#include <set>

#include "protocol/base/log_histogram.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::bench {

// What boards did and heard, all of them together.
struct Tally {
  std::uint64_t telemetry = 0, reports = 0, progress = 0, heartbeats = 0;
  std::uint64_t repeated = 0;       // said again after a connection was lost
  std::uint64_t acknowledged = 0;   // telemetry and reports that the host has
  std::uint64_t lost = 0;           // connections that ended by themselves
  std::string lost_because;         // the last of them
  std::uint64_t refused = 0;        // commands that were not signed by the host
  LogHistogram acknowledged_ms;     // from when it was due
  std::set<std::string> offered;    // boards that have their offer
  std::set<std::string> updated;    // boards that took it
};

// What all boards share.
struct Surroundings {
  boost::asio::any_io_executor executor;
  boost::asio::ssl::context& tls;
  boost::asio::ip::tcp::endpoint broker;
  trust::Signers director;
  trust::Sha256Digest serves;  // before any rollout
  std::mt19937_64& random;
  Tally& tally;
};

// A board as far as the host can see: mutual TLS, signatures checked and made, answers to what it is offered. It neither
// pulls nor runs a model: how long that would take is drawn. What was not acknowledged is said again when it is back.
class Board {
 public:
  using Time = std::chrono::steady_clock::time_point;
  Board(Surroundings& all, Identity identity, std::string device_class);

  void connect();
  void drop();
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool connecting() const { return connection_ && !connected_; }
  [[nodiscard]] const std::string& name() const { return identity_.name; }

  // `due`: when it was to be said, so that a generator that is late does not hide how late the host is.
  void beat();
  void tell(Time due);
  void measure_again(Time due);
  void say_again(Time now);  // what was not acknowledged for a minute, as agents do
  void hold(bool held);  // as its owner does: a status of another kind

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] const std::set<messages::MessageId>& kept_reports() const { return kept_reports_; }
  [[nodiscard]] std::size_t kept_telemetry() const { return kept_telemetry_; }

 private:
  struct Said {
    Time due;
    Time said;
    transport::Message message;
    bool is_report = false;
  };
  void on_accepted();
  void on_message(const mqtt::Message& message);
  void obey(const messages::Offer& offer);
  void take_back(const messages::Cancel& cancel);
  void work_on(const messages::Offer& offer, std::size_t step);
  void say_progress(const messages::Offer& offer, messages::DeploymentState state);
  void say_report(const messages::DeploymentId& deployment, messages::DeploymentState state, bool measured, Time due);
  void say(const messages::MessageId& id, Said what);
  void publish_status();
  [[nodiscard]] std::string status_text() const;
  [[nodiscard]] messages::DeviceHeader next_header();

  Surroundings* all_;
  Identity identity_;
  messages::DeviceStatus status_;
  std::uint64_t sequence_ = 0;
  std::shared_ptr<Connection> connection_;
  bool connected_ = false;
  std::map<messages::MessageId, Said> waiting_;
  std::set<messages::MessageId> kept_reports_;
  std::size_t kept_telemetry_ = 0;
};

}  // namespace outcrop::bench
