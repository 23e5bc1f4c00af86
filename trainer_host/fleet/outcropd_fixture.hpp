#pragma once

#include <utility>  // before Asio

#include <sys/types.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/command.hpp"
#include "protocol/messages/report.hpp"
#include "protocol/messages/status.hpp"
#include "tests/support/mqtt_client.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/release/release_fixture.hpp"

namespace outcrop::fleet {

// A board as far as the host can see: it says what its script tells it to when it is offered
// something, and signs its reports. What it knows outlives its connection.
class ScriptedBoard {
 public:
  using Answer = std::function<messages::DeploymentState(const messages::Offer&)>;

  ScriptedBoard(transport::Loop& loop, transport::SessionOptions session, trust::PrivateKey key,
                messages::DeviceStatus status, trust::Signers director);

  void connect();  // a new session of the agent
  void disconnect();
  [[nodiscard]] bool connected() const { return session_ && session_->connected(); }

  void answer_with(messages::DeploymentState state) {
    answer_ = [state](const messages::Offer&) { return state; };
  }
  void answer(Answer how) { answer_ = std::move(how); }

  // Says so in its status and in a signed report, as agents do.
  void say(const messages::DeploymentId& deployment, messages::DeploymentState state,
           const std::string& reason = "");
  // Telemetry of now, with this temperature.
  messages::MessageId tell(double temperature);
  void publish_status();
  void publish(const std::string& topic, const std::string& payload);

  [[nodiscard]] const std::vector<messages::Offer>& offers() const { return offers_; }
  [[nodiscard]] const std::vector<messages::Cancel>& cancels() const { return cancels_; }
  [[nodiscard]] const std::vector<messages::MessageId>& acknowledged() const { return acked_; }
  [[nodiscard]] bool has_acknowledged(const messages::MessageId& id) const {
    return std::find(acked_.begin(), acked_.end(), id) != acked_.end();
  }
  [[nodiscard]] const std::vector<std::uint64_t>& used() const { return used_; }
  [[nodiscard]] const std::vector<messages::Command>& asked() const { return asked_; }
  [[nodiscard]] const std::vector<std::string>& topics() const { return topics_; }
  [[nodiscard]] messages::DeviceStatus& status() { return status_; }
  [[nodiscard]] const trust::PrivateKey& key() const { return key_; }
  [[nodiscard]] const transport::SessionOptions& options() const { return options_; }
  // A report of the next sequence number, and its envelope.
  [[nodiscard]] messages::Report make_report(const messages::DeploymentId& deployment,
                                             messages::DeploymentState state,
                                             const std::string& reason);
  [[nodiscard]] std::string sign(const messages::Report& report) const;

 private:
  [[nodiscard]] Result<messages::Command> read_command(const std::string& payload) const;
  [[nodiscard]] std::string status_text() const;
  void on_message(const transport::Message& message);
  void obey(const messages::Offer& offer);
  void obey(const messages::Cancel& cancel);

  transport::Loop& loop_;
  transport::SessionOptions options_;
  trust::PrivateKey key_;
  messages::DeviceStatus status_;
  trust::Signers director_;
  std::uint64_t sequence_ = 0;
  Answer answer_;
  std::vector<messages::Offer> offers_;
  std::vector<messages::Cancel> cancels_;
  std::vector<messages::MessageId> acked_;
  std::vector<std::uint64_t> used_;
  std::vector<messages::Command> asked_;
  std::vector<std::string> topics_;
  std::unique_ptr<transport::Session> session_;
};

// The program itself with its broker, a key store, and an authority for boards.
class OutcropdTest : public release::ReleaseTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  void write_config(const std::string& broker);  // the lines of [broker]
  void start();                                  // and waits until it serves
  void kill(int signal);                         // and waits for its end
  int exit_code_ = -1;                           // of the last that ended
  [[nodiscard]] pid_t process() const { return child_; }
  [[nodiscard]] pid_t mosquitto() const;  // its child; 0 while there is none
  [[nodiscard]] std::string log() const;
  // Runs outcropd with these arguments to its end; what it printed is in output_.
  int run(const std::vector<std::string>& arguments);
  std::string output_;

  // One call; `expected` is the status that it must have.
  nlohmann::json call(const std::string& method, const std::string& target,
                      const nlohmann::json& body = nullptr, int expected = 200);
  nlohmann::json post(const std::string& target, const nlohmann::json& body, int expected = 200) {
    return call("POST", target, body, expected);
  }
  nlohmann::json get(const std::string& target) { return call("GET", target); }
  // Waits until it is so, running the boards meanwhile.
  bool until(const std::function<bool()>& so) { return loop_.until(so, std::chrono::seconds(20)); }
  bool rollout_is(const std::string& name, const std::string& state);

  // Makes a release of stage `stage` and uploads it; its manifest.
  std::string publish(std::uint64_t stage);
  [[nodiscard]] nlohmann::json submission(const std::filesystem::path& release) const;
  std::unique_ptr<ScriptedBoard> enroll(const std::string& name,
                                        const std::string& device_class = "raspberry-pi-4",
                                        int expected = 201);
  std::string revoke_certificate(const std::string& name);  // the new CRL

  transport::Loop loop_;
  std::filesystem::path home_;
  std::filesystem::path config_;
  std::filesystem::path socket_;
  std::optional<pki::Authority> devices_;
  pid_t child_ = 0;
  int enrolled_ = 0;
};

}  // namespace outcrop::fleet
