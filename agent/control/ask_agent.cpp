#include "agent/control/ask_agent.hpp"

#include <string>

#include "agent/config/config.hpp"
#include "agent/enroll/identity.hpp"

namespace outcrop::agent {
namespace {

// An agent without an identity ends at its start: what to do about that is worth more than that it
// does not run. Only where this user may see it.
std::string why_no_agent(const SocketOption& option) {
  const std::string in_general = "is the agent running? systemctl status outcrop-agent";
  if (!option.socket.empty()) return in_general;
  const auto config = read_config(option.config);
  if (!config) return in_general;
  const auto identity = Identity::read(config->state);
  const bool lost = !identity && (identity.error().code() == ErrorCode::not_found ||
                                  identity.error().code() == ErrorCode::invalid_data);
  return lost ? identity.error().message() : in_general;
}

}  // namespace

Result<http::Answer> ask_agent(const SocketOption& option, const http::Call& call) {
  OUTCROP_TRY(socket, find_socket(option));
  auto answer = http::call(socket, call);
  if (answer) return http::checked(std::move(*answer), call);
  const Error& error = answer.error();
  if (error.code() == ErrorCode::not_found || error.code() == ErrorCode::io) {
    return fail(error.code(), error.message() + "; " + why_no_agent(option));
  }
  return fail(error);
}

}  // namespace outcrop::agent
