#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "agent/config/config.hpp"
#include "agent/deploy/record.hpp"
#include "agent/report/outbox.hpp"
#include "agent/slots/slots.hpp"
#include "agent/verify/metadata_store.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/transport/session.hpp"
#include "protocol/trust/ed25519.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::agent {

// What the board's messages say besides the deployment. All must outlive the announcer.
struct Board {
  std::string device;
  trust::PrivateKey key;  // signs reports
  const AgentConfig& config;
  const MetadataStore& metadata;
  const Slots& slots;
  const std::optional<runtime::Hello>& engine;  // none until a runner said hello
  Outbox& outbox;
  // What is wrong on this board; "" where nothing is. May be left out.
  std::function<std::string()> trouble{};
};

// Tells the host: retained status, progress and signed reports (SCHEMA.md). Status and progress are
// said when there is a connection and said anew after each connect; a report is in the outbox
// before it is sent, and sent until the host acknowledges it.
class Announcer {
 public:
  // A report that is not acknowledged is sent again after `first_repeat`, then after twice as long
  // each time, up to an hour.
  Announcer(boost::asio::any_io_executor executor, const Board& board,
            std::chrono::milliseconds first_repeat = std::chrono::minutes(1));
  ~Announcer();

  // Before the first use. The session must outlive the announcer's use.
  void speak_through(transport::Session& session);

  [[nodiscard]] messages::DeviceStatus status_of(const Record& record, bool online) const;
  // As it is published: signed where the root names a director, who can read it then.
  [[nodiscard]] std::string status_text(const Record& record, bool online) const;
  void status(const Record& record, bool online = true);
  struct Transfer {
    ByteCount done;
    ByteCount total;
  };
  void progress(const Deployment& deployment, const std::string& variant = {},
                const Transfer& transfer = {});
  void report(const Deployment& deployment);
  // Said once: who asked and misses it asks again.
  void layers(const trust::Sha256Digest& manifest, std::vector<messages::VariantLayers> variants);
  // A report of an end, which is written down with the end itself before send() sends it.
  void hold(const Deployment& deployment);
  void send();
  [[nodiscard]] const std::optional<Outbox::Pending>& held_report() const;
  // What is wrong on this board, as the reason of where its deployment stands: the messages have no
  // other place for it that older hosts know. Does nothing where nothing is wrong.
  void report_trouble(const Record& record);

  void on_connected();
  void on_acknowledged(const messages::Acknowledgement& acknowledgement);
  [[nodiscard]] std::size_t pending_reports() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
