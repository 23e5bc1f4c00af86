#pragma once

#include <utility>  // before Asio

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "protocol/messages/command.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/messages/telemetry.hpp"
#include "protocol/trust/ed25519.hpp"
#include "tests/agent/forge.hpp"
#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/depot/depot.hpp"

namespace outcrop {

// What outcropd is to one board, with a real broker and a real depot, and without a mind of its
// own: it publishes what it is told to, answers chunk requests, acknowledges reports and keeps what
// the board says.
class ScriptedHost {
 public:
  ScriptedHost(transport::Loop& loop, FleetBroker& broker, std::string device);
  // By this session, with these blobs in its depot.
  ScriptedHost(transport::Loop& loop, std::unique_ptr<transport::Session> session,
               std::string device, const std::filesystem::path& blobs);
  ~ScriptedHost();

  void speak_by(const Forge& forge) { forge_ = &forge; }  // which outlives this
  void publish(Forge& forge) { publish(forge.envelopes()); }  // all roles, retained
  void publish(const std::map<std::string, std::string>& envelopes);
  void store(const ForgedRelease& release);  // in the depot
  void send(const messages::Command& command);  // signed as the forge that speaks signs
  void send_raw(const std::string& command);
  void ask_raw(const std::string& command);  // on the topic of what is asked
  void acknowledge(bool wanted) { acknowledges_ = wanted; }

  // An offer of this release with what most tests want.
  [[nodiscard]] messages::Offer offer(const ForgedRelease& release, std::uint64_t generation,
                                      const Forge& forge) const;

  // What the board said, as it came. Reports whose signature holds.
  std::vector<messages::DeviceStatus> statuses;
  std::vector<messages::Progress> progress;
  std::vector<std::string> no_progress;  // why a message of progress is none: a host would refuse it
  std::vector<messages::Report> reports;
  std::vector<messages::Telemetry> telemetry;  // whose signature holds; acknowledged as reports are
  std::vector<messages::Picture> pictures;  // whose signature holds; acknowledged likewise
  std::vector<messages::Renewal> renewals;  // whose signature holds
  std::vector<messages::Layers> layers;     // likewise
  std::size_t bad_reports = 0;
  std::size_t signed_statuses = 0;
  std::function<void(const messages::DeviceStatus&)> on_each_status;
  std::function<void(const messages::Report&)> on_each_report;
  std::set<trust::Sha256Digest> asked_for;  // whose chunks the board requested
  trust::PublicKey board_key;

  [[nodiscard]] const messages::DeviceStatus* status() const {
    return statuses.empty() ? nullptr : &statuses.back();
  }
  // The latest status says that this generation is there, and (unless offline) online.
  [[nodiscard]] bool at(std::uint64_t generation, messages::DeploymentState state) const;
  [[nodiscard]] const messages::Report* report(std::uint64_t generation,
                                               messages::DeploymentState state) const;
  [[nodiscard]] std::uint64_t chunks() const { return depot_->statistics().chunks; }

 private:
  void on_connected();
  void on_message(const transport::Message& message);
  void on_status(const std::string& payload);
  void on_report(const std::string& payload);
  void on_telemetry(const std::string& payload);
  void on_picture(const std::string& payload);

  transport::Loop& loop_;
  std::string device_;
  const Forge* forge_ = nullptr;
  TemporaryFolder folder_;
  std::unique_ptr<transport::Session> session_;
  std::optional<fleet::BlobStore> store_;
  std::unique_ptr<fleet::Depot> depot_;
  bool subscribed_ = false;
  bool acknowledges_ = true;
};

}  // namespace outcrop
