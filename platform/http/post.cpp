#include "platform/http/post.hpp"

#include <memory>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace outcrop::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;
using asio::ip::tcp;

Error error_of(const std::string& doing, const error_code& error) {
  if (error == beast::error::timeout || error == asio::error::operation_aborted) {
    return {ErrorCode::timeout, doing + ": no answer in time"};
  }
  const bool tls = error.category() == asio::error::get_ssl_category();
  return {tls ? ErrorCode::untrusted : ErrorCode::io, doing + ": " + error.message()};
}

template <class Stream>
asio::awaitable<Result<int>> exchange(Stream& stream, const Post& what) {
  wire::request<wire::string_body> request{wire::verb::post, what.url.target, 11};
  request.set(wire::field::host, what.url.host);
  request.set(wire::field::content_type, "application/json");
  request.keep_alive(false);
  for (const auto& [name, value] : what.headers) request.set(name, value);
  request.body() = what.body;
  request.prepare_payload();
  error_code error;
  co_await wire::async_write(stream, request, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fail(error_of("sending", error));
  beast::flat_buffer buffer;
  wire::response_parser<wire::empty_body> parser;
  co_await wire::async_read_header(stream, buffer, parser, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fail(error_of("reading the answer", error));
  co_return static_cast<int>(parser.get().result_int());
}

asio::awaitable<Result<int>> exchange_by_tls(beast::tcp_stream stream, const Post& what) {
  asio::ssl::context context(asio::ssl::context::tls_client);
  error_code error;
  if (what.authority) {
    context.load_verify_file(what.authority->string(), error);
    if (error) co_return fail(ErrorCode::invalid_data, what.authority->string() + ": " + error.message());
  } else {
    context.set_default_verify_paths(error);
  }
  context.set_verify_mode(asio::ssl::verify_peer);
  asio::ssl::stream<beast::tcp_stream> secure(std::move(stream), context);
  secure.set_verify_callback(asio::ssl::host_name_verification(what.url.host));
  ::SSL_set_tlsext_host_name(secure.native_handle(), what.url.host.c_str());
  co_await secure.async_handshake(asio::ssl::stream_base::client, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fail(error_of("TLS with " + what.url.host, error));
  co_return co_await exchange(secure, what);
}

}  // namespace

asio::awaitable<Result<int>> post(Post what) {
  const auto executor = co_await asio::this_coro::executor;
  error_code error;
  tcp::resolver resolver(executor);
  asio::steady_timer deadline(executor, what.deadline);
  deadline.async_wait([&resolver](const error_code& ended) {
    if (!ended) resolver.cancel();
  });
  const auto begun = std::chrono::steady_clock::now();
  const auto found = co_await resolver.async_resolve(what.url.host, std::to_string(what.url.port),
                                                     asio::redirect_error(asio::use_awaitable, error));
  deadline.cancel();
  if (error) co_return fail(error_of("looking up " + what.url.host, error));
  beast::tcp_stream stream(executor);
  stream.expires_after(what.deadline - std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun));
  co_await stream.async_connect(found, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return fail(error_of("connecting to " + what.url.host, error));
  if (what.url.secure) co_return co_await exchange_by_tls(std::move(stream), what);
  co_return co_await exchange(stream, what);
}

}  // namespace outcrop::http
