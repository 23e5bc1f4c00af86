#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/deploy/deployer.hpp"
#include "agent/enroll/renewer.hpp"
#include "agent/verify/expiry.hpp"
#include "platform/http/server.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop::agent {

// What the control socket shows and works on. All must outlive the handler.
struct ControlParts {
  std::string device;
  std::string broker;
  const std::optional<std::string>& lost_because;  // none while connected, and before the first try
  const AgentConfig& config;
  const transport::Session& session;
  const MetadataStore& metadata;
  Slots& slots;
  const std::optional<runtime::Hello>& engine;
  Deployer& deployer;
  Serving& serving;
  const Announcer& announcer;
  std::function<std::vector<std::string>()> troubles;  // what is wrong on this board
  std::function<std::optional<Expiry>()> expiry;       // what this board needs and ends first
  // Metadata that the owner brings: believed no more than what a broker brings.
  std::function<Status(const std::string& role, const std::string& envelope)> accept;
  Renewer& renewer;
  http::Handler inference;                             // of what lies below /v2
};

// Answers what API.md beside this file describes.
[[nodiscard]] http::Handler make_control_handler(const ControlParts& parts);

}  // namespace outcrop::agent
