#include "platform/http/server.hpp"

#include <sys/socket.h>

#include <exception>
#include <set>

#include <spdlog/spdlog.h>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "platform/http/error_names.hpp"
#include "platform/http/target.hpp"
#include "platform/http/unix_listener.hpp"
#include "platform/spawn/spawn.hpp"

namespace outcrop::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::awaitable;
using Protocol = asio::local::stream_protocol;
using Stream = beast::basic_stream<Protocol, asio::any_io_executor>;
using Parser = wire::request_parser<wire::string_body>;
using WireResponse = wire::response<wire::string_body>;

namespace {

constexpr std::size_t most_connections = 32;
constexpr std::chrono::seconds longest_silence{60};
constexpr std::chrono::seconds longest_farewell{1};
constexpr std::uint32_t longest_header = 16 * 1024;

auto awaiting(boost::system::error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

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

Response plain_error(int status, ErrorCode code, std::string message) {
  Response response = error_response(Error(code, std::move(message)));
  response.status = status;
  return response;
}

std::uint32_t peer_uid(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return UINT32_MAX;
  return peer.uid;
}

std::optional<Request> to_request(Parser::value_type& message, int fd) {
  const auto target = message.target();
  auto parsed = parse_target({target.data(), target.size()});
  if (!parsed) return std::nullopt;
  Request request;
  request.method = std::string(message.method_string());
  request.path = std::move(parsed->path);
  request.query = std::move(parsed->query);
  request.content_type = std::string(message[wire::field::content_type]);
  request.body = std::move(message.body());
  request.peer_uid = peer_uid(fd);
  return request;
}

// What to answer to bytes that are no request of ours; nothing where the peer has gone.
std::optional<Response> refusal(const boost::system::error_code& error, ByteCount longest_body) {
  if (error == wire::error::body_limit) {
    return plain_error(413, ErrorCode::invalid_argument,
                       "the body is above the " + longest_body.human() + " allowed");
  }
  if (error == wire::error::end_of_stream || error == wire::error::partial_message ||
      error.category() != wire::make_error_code(wire::error::bad_target).category()) {
    return std::nullopt;
  }
  return plain_error(400, ErrorCode::invalid_data, "not HTTP/1.1: " + error.message());
}

awaitable<void> send(Stream& stream, Response response, bool keep_alive,
                     boost::system::error_code& error) {
  WireResponse message;
  message.version(11);
  message.result(static_cast<unsigned>(response.status));
  message.set(wire::field::content_type, response.content_type);
  message.keep_alive(keep_alive);
  message.body() = std::move(response.body);
  message.prepare_payload();
  stream.expires_after(longest_silence);
  co_await wire::async_write(stream, message, awaiting(error));
}

// After a refusal what the peer still sends is thrown away for a moment, so that it reads the
// answer instead of a reset.
awaitable<void> discard_rest(Stream& stream) {
  boost::system::error_code error;
  stream.socket().shutdown(Protocol::socket::shutdown_send, error);
  stream.expires_after(longest_farewell);
  std::string waste(64 * 1024, '\0');
  while (!error) co_await stream.async_read_some(asio::buffer(waste), awaiting(error));
}

}  // namespace

Response error_response(const Error& error) {
  return {status_of(error.code()), "application/json", error_body(error)};
}

class Server::Impl : public std::enable_shared_from_this<Server::Impl> {
 public:
  Impl(const asio::any_io_executor& executor, UnixListener listener, const ServerOptions& options,
       Handler handler)
      : listener_(std::move(listener)),
        acceptor_(executor, Protocol(), listener_.release()),
        free_place_(executor, asio::steady_timer::time_point::max()),
        longest_body_(options.longest_body),
        handler_(std::move(handler)) {}

  void start() {
    platform::spawn(acceptor_.get_executor(), accept(shared_from_this()));
  }

  void stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    free_place_.cancel();
    for (Stream* stream : streams_) stream->close();
    listener_.remove();
  }

 private:
  static awaitable<void> accept(std::shared_ptr<Impl> self) {
    while (!self->stopped_) {
      boost::system::error_code error;
      if (self->streams_.size() >= most_connections) {
        co_await self->free_place_.async_wait(awaiting(error));
        continue;
      }
      Protocol::socket socket = co_await self->acceptor_.async_accept(awaiting(error));
      if (self->stopped_) break;
      if (error) {
        spdlog::warn("accepting a connection: {}", error.message());
        // Out of file descriptors, say: not at once again.
        asio::steady_timer pause(self->acceptor_.get_executor(), std::chrono::seconds(1));
        co_await pause.async_wait(awaiting(error));
        continue;
      }
      auto stream = std::make_shared<Stream>(std::move(socket));
      self->streams_.insert(stream.get());
      platform::spawn(stream->get_executor(), serve(self, stream));
    }
  }

  static awaitable<void> serve(std::shared_ptr<Impl> self, std::shared_ptr<Stream> stream) {
    try {
      beast::flat_buffer buffer;
      bool again = true;
      while (again && !self->stopped_) again = co_await self->serve_one(*stream, buffer);
    } catch (const std::exception& error) {  // of Beast itself, out of memory: this connection ends
      spdlog::error("serving a connection: {}", error.what());
    }
    self->streams_.erase(stream.get());
    self->free_place_.cancel();
  }

  // Reads one request and answers it; whether another may follow.
  awaitable<bool> serve_one(Stream& stream, beast::flat_buffer& buffer) {
    Parser parser;
    parser.header_limit(longest_header);
    parser.body_limit(longest_body_.value());
    boost::system::error_code error;
    stream.expires_after(longest_silence);
    co_await wire::async_read_header(stream, buffer, parser, awaiting(error));
    if (!error && beast::iequals(parser.get()[wire::field::expect], "100-continue")) {
      wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
      co_await wire::async_write(stream, go_on, awaiting(error));
    }
    if (!error) {
      stream.expires_after(longest_silence);
      co_await wire::async_read(stream, buffer, parser, awaiting(error));
    }
    if (error) {
      std::optional<Response> answer = refusal(error, longest_body_);
      if (!answer) co_return false;
      co_await send(stream, std::move(*answer), false, error);
      co_await discard_rest(stream);
      co_return false;
    }
    const bool keep_alive = parser.get().keep_alive();
    std::optional<Request> request = to_request(parser.get(), stream.socket().native_handle());
    Response response = plain_error(400, ErrorCode::invalid_data,
                                    "the target is no path like /v1/status, percent-encoded");
    if (request) response = co_await answer(std::move(*request));
    if (stopped_) co_return false;
    co_await send(stream, std::move(response), keep_alive, error);
    co_return !error && keep_alive;
  }

  awaitable<Response> answer(Request request) {
    const std::string what = request.method + " " + request.path;
    std::string problem;
    // The work of a request may take longer than a silent peer may.
    try {
      Response response = co_await handler_(std::move(request));
      co_return response;
    } catch (const std::exception& error) {
      problem = error.what();
    }
    spdlog::error("{}: {}", what, problem);
    co_return plain_error(500, ErrorCode::internal, problem);
  }

  UnixListener listener_;
  Protocol::acceptor acceptor_;
  asio::steady_timer free_place_;  // cancelled when a connection ends
  ByteCount longest_body_;
  Handler handler_;
  std::set<Stream*> streams_;
  bool stopped_ = false;
};

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

Result<Server> Server::listen(asio::any_io_executor executor, const ServerOptions& options,
                              Handler handler) {
  OUTCROP_TRY(listener, UnixListener::open(options.socket, options.mode));
  try {
    auto impl = std::make_shared<Impl>(executor, std::move(listener), options, std::move(handler));
    impl->start();
    return Server(std::move(impl));
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, "serving " + options.socket.string() + ": " + error.what());
  }
}

}  // namespace outcrop::http
