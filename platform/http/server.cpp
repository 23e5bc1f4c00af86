#include "platform/http/server.hpp"

#include <sys/socket.h>

#include <exception>

#include "platform/http/connection_on.hpp"
#include "platform/http/error_names.hpp"
#include "platform/http/server_on.hpp"

namespace outcrop::http {

using Local = asio::local::stream_protocol;

namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
    case ErrorCode::invalid_data:
      return 400;
    case ErrorCode::untrusted:
    case ErrorCode::expired:
    case ErrorCode::revoked:
      return 403;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::already_exists:
    case ErrorCode::refused:
      return 409;
    case ErrorCode::timeout:
      return 503;
    case ErrorCode::no_space:
      return 507;
    default:
      return 500;
  }
}

}  // namespace

Peer peer_of(Local::socket& socket) {
  ucred peer{};
  socklen_t length = sizeof peer;
  const int got = ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &length);
  return {got == 0 ? peer.uid : UINT32_MAX, {}};
}

Response error_response(const Error& error, int status) {
  return {status, "application/problem+json", problem_body(error, status)};
}

Response error_response(const Error& error) {
  return error_response(error, status_of(error.code()));
}

Server::Server(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;

Server& Server::operator=(Server&& other) noexcept {
  if (impl_ && impl_ != other.impl_) impl_->stop();
  impl_ = std::move(other.impl_);
  return *this;
}

Server::~Server() {
  if (impl_) impl_->stop();
}

std::uint16_t Server::port() const {
  return impl_->port();
}

Result<Server> Server::listen(asio::any_io_executor executor, const ServerOptions& options,
                              Handler handler) {
  OUTCROP_TRY(listener, UnixListener::open(options.socket, options.mode, options.group));
  try {
    const int listening = listener.release();
    ServerRules rules{options.longest_body, std::move(handler), options.admit, std::make_shared<Room>(executor, options.room)};
    rules.connect = [](AnySocket socket, Peer peer, std::shared_ptr<const ServerRules> shared) {
      return std::make_shared<ConnectionOn<Plain>>(std::move(socket), std::move(peer),
                                                   std::move(shared));
    };
    return Server(start_server(executor, listening, Local(), std::move(listener), std::move(rules)));
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, "serving " + options.socket.string() + ": " + error.what());
  }
}

}  // namespace outcrop::http
