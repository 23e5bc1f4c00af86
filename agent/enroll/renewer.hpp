#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "agent/enroll/identity.hpp"
#include "agent/report/outbox.hpp"
#include "agent/verify/metadata_store.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop::agent {

// All must outlive the renewer.
struct RenewerParts {
  const Identity& identity;
  Outbox& outbox;
  const MetadataStore& metadata;
  // The agent is to end and be started again: another certificate, or key, is this board's.
  std::function<void()> begin_again;
  std::chrono::milliseconds trial;  // for a connection by a new certificate
};

// Gives a board its next key and certificate while it works (SCHEMA.md, "Renewal"): when a third of the present one's time is left,
// or when its owner says so, it makes a key and asks for a certificate; it connects by that, tells the host, and forgets the old key
// when the host has said that it knows. It asks and tells after each connection and every hour.
class Renewer {
 public:
  Renewer(boost::asio::any_io_executor executor, RenewerParts parts);
  ~Renewer();

  // Before the first use. The session must outlive the renewer's use.
  void speak_through(transport::Session& session);
  void stop();

  // refused where the root names no director: nobody signs certificates that come by the broker.
  [[nodiscard]] Status begin();
  void on_connected();
  void on_certificate(const messages::Certificate& certificate);
  void on_acknowledged(const messages::Acknowledgement& acknowledgement);
  // What it is at, in words; "" mostly.
  [[nodiscard]] std::string state() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
