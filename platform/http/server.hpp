#pragma once

#include <utility>  // before Asio

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::http {

// HTTP/1.1 over a Unix socket (Boost.Beast): how people and other programs on the same machine
// speak to an agent or to the host's daemon. `curl --unix-socket PATH http://local/v1/status`
// works.

struct Request {
  std::string method;  // "GET"
  std::string path;    // percent-decoded, without the query: "/v1/devices/pi-1"
  std::map<std::string, std::string> query;
  std::string content_type;
  std::string body;
  std::uint32_t peer_uid = 0;  // who asked, by SO_PEERCRED
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

// {"error": {"code": "not_found", "message": "..."}} with the status that suits the code: 400
// invalid_*, 404 not_found, 409 already_exists and refused, 403 untrusted, expired and revoked, 503
// timeout, 507 no_space, else 500.
[[nodiscard]] Response error_response(const Error& error);

using Handler = std::function<boost::asio::awaitable<Response>(Request)>;

struct ServerOptions {
  std::filesystem::path socket;
  unsigned mode = 0660;  // of the socket file
  ByteCount longest_body = ByteCount::mib(1);
};

// Serves until it is destroyed; everything runs on `executor`. Connections are kept alive, served
// at most 32 at a time, and closed after 60 s without a request. A body above the limit is answered
// 413, what is no HTTP 400; a handler that throws 500. A socket file that nobody listens on is
// replaced, one that is served fails with already_exists. A handler that is at work when the server
// is destroyed goes on: what it refers to must live as long as the executor runs.
class Server {
 public:
  [[nodiscard]] static Result<Server> listen(boost::asio::any_io_executor executor,
                                             const ServerOptions& options, Handler handler);
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // stops listening, closes connections, removes the socket file

 private:
  class Impl;
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::http
