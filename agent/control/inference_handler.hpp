#pragma once

#include <utility>  // before Asio

#include <boost/asio/any_io_executor.hpp>

#include "agent/config/config.hpp"
#include "agent/deploy/deployer.hpp"
#include "agent/prove/serving.hpp"
#include "agent/slots/slots.hpp"
#include "platform/http/server.hpp"

namespace outcrop::agent {

// What an inference is made of. All must outlive the handler.
struct InferenceParts {
  boost::asio::any_io_executor executor;
  const AgentConfig& config;
  Slots& slots;
  Deployer& deployer;
  Serving& serving;
};

// Answers what lies below /v2 by the Open Inference Protocol (API.md). What a browser sends for some page is
// refused: that page is none of the owner's programs. Copies share what they know of the release that serves, and one thread,
// which reads long requests and writes long answers one after the other.
[[nodiscard]] http::Handler make_inference_handler(const InferenceParts& parts);

}  // namespace outcrop::agent
