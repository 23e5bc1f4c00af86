#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::http {

// HTTP/1.1 (Boost.Beast): over a Unix socket, how people and other programs on the same machine speak to
// an agent or to the host's daemon (`curl --unix-socket PATH http://local/v1/status` works), and over TCP,
// in plain on this machine or by TLS.

struct Request {
  std::string method;  // "GET"; HEAD comes as GET, and its answer goes without a body
  std::string path;    // percent-decoded, without the query: "/v1/devices/pi-1"
  std::map<std::string, std::string> query;
  std::string content_type;
  std::string body;
  std::uint32_t peer_uid = 0;  // who asked over a Unix socket, by SO_PEERCRED
  std::map<std::string, std::string> headers{};  // names in lower case; of one that came twice, the first
  std::string address{};                         // who asked over TCP; "" over a Unix socket
  bool secure = false;                           // over TLS
  std::string certificate{};  // common name of the client's, which its authority vouches for; "": none
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  }
};

// The next piece of an answer; none at its end. Called again when the piece before is written: a reader
// that is too slow ends its connection and nothing else. It may be destroyed while it waits.
using Pieces = std::function<boost::asio::awaitable<std::optional<std::string>>()>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  Pieces pieces{};  // where it is set, these are the body, in chunks
  std::vector<Bytes> parts{};  // what follows `body`, of answers too large to be copied into one
};

// A problem of RFC 9457, with the status that suits the code: 400 invalid_*, 404 not_found, 409
// already_exists and refused, 403 untrusted, expired and revoked, 503 timeout, 507 no_space, else 500.
// Its member "error" is {"code": "not_found", "message": "..."}, by which programs go.
[[nodiscard]] Response error_response(const Error& error);
// The same with a status that no code has.
[[nodiscard]] Response error_response(const Error& error, int status);

using Handler = std::function<boost::asio::awaitable<Response>(Request)>;

// What is decided of a request by its head, before a byte of its body is read.
struct Admission {
  ByteCount longest_body;
  std::optional<Response> otherwise{};  // to one with a longer body; none: 413
};
using Admit = std::function<Admission(const Request& head)>;

// What a server holds at a time: bodies that are read or worked on, and answers that are not taken yet, of all connections
// together; those of at most 64 KiB do not count. A body that finds no room waits so long for its turn, then it is answered 503
// with Retry-After, as an answer is at once for which there is none.
struct RoomOptions {
  ByteCount bytes = ByteCount::mib(64);
  std::chrono::milliseconds patience{10'000};
};

struct ServerOptions {
  std::filesystem::path socket;
  unsigned mode = 0660;  // of the socket file
  ByteCount longest_body = ByteCount::mib(1);
  std::optional<std::string> group{};  // of the file; none: the process's. It must be in the group
  Admit admit{};  // none: every body may have `longest_body`
  RoomOptions room{};
};

// A name or address, and a port, on this machine; 0: a free one.
struct TcpOptions {
  std::string address = "127.0.0.1";  // numeric
  std::uint16_t port = 0;
  struct Tls {
    std::filesystem::path certificate;  // PEM, the chain
    std::filesystem::path key;
    // PEM; clients may show certificates that it vouches for, and others are refused. None: nobody is asked for one.
    std::optional<std::filesystem::path> client_authority{};
  };
  std::optional<Tls> tls{};  // none: only on loopback
  ByteCount longest_body = ByteCount::mib(1);
  Admit admit{};
  RoomOptions room{};
};

// Serves until it is destroyed; everything runs on `executor`. Connections are kept alive, 256 of them at
// a time; where there are more, those go first that never sent a byte (50 ms) and those that have asked nothing for a
// second, so that silent ones keep nobody out. One without a request is closed after 60 s, one whose reader stands still after 60 s, too (15 s
// where it reads pieces; 512 may at a time, and take no place). A body above the limit is answered
// 413 (RoomOptions says what else is held back), what is no HTTP 400; a handler that throws 500. A socket file that nobody listens on is
// replaced, one that is served fails with already_exists. A handler that is at work when the server
// is destroyed goes on: what it refers to must live as long as the executor runs.
class Server {
 public:
  [[nodiscard]] static Result<Server> listen(boost::asio::any_io_executor executor,
                                             const ServerOptions& options, Handler handler);
  // refused for TCP in plain on an address that is not loopback, and where the address cannot be had;
  // invalid_data for a certificate or key that is none.
  [[nodiscard]] static Result<Server> listen_tcp(boost::asio::any_io_executor executor,
                                                 const TcpOptions& options, Handler handler);
  [[nodiscard]] std::uint16_t port() const;  // of TCP

  class Impl;
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // stops listening, closes connections, removes the socket file

 private:
  explicit Server(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::http
