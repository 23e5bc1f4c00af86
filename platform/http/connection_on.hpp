#pragma once

#include "platform/http/connection.hpp"

#include <algorithm>
#include <exception>

#include <spdlog/spdlog.h>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>


struct ssl_st;  // SSL

namespace outcrop::http {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using asio::awaitable;
using Plain = beast::basic_stream<asio::generic::stream_protocol, asio::any_io_executor>;
using Parser = wire::request_parser<wire::string_body>;

inline constexpr std::chrono::seconds longest_silence{60};
inline constexpr std::chrono::seconds longest_handshake{10};
inline constexpr std::chrono::seconds longest_standstill{15};
inline constexpr std::chrono::seconds longest_farewell{1};
inline constexpr std::uint32_t longest_header = 16 * 1024;

inline auto awaiting(boost::system::error_code& error) {
  return asio::redirect_error(asio::use_awaitable, error);
}

// Without its body. Nothing where the target is none of ours.
[[nodiscard]] std::optional<Request> head_of(const Parser::value_type& message, const Peer& peer, bool secure);
// The common name in the certificate that the peer has shown, "" where there is none; tcp.cpp.
[[nodiscard]] std::string certificate_of(ssl_st* connection);
// What to answer to bytes that are no request of ours; nothing where the peer has gone.
[[nodiscard]] std::optional<Response> refusal(const boost::system::error_code& error, ByteCount longest_body);
[[nodiscard]] Response too_long(ByteCount longest_body);
[[nodiscard]] Response no_room(const std::string& for_what);
[[nodiscard]] std::uint64_t size_of(const Response& response);

template <class Message>
void set_head(Message& message, const Response& response, bool keep_alive) {
  message.version(11);
  message.result(static_cast<unsigned>(response.status));
  if (!response.content_type.empty()) message.set(wire::field::content_type, response.content_type);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.keep_alive(keep_alive);
}

// Over `Stream`: Plain, or TLS over it.
template <class Stream>
class ConnectionOn final : public Connection {
 public:
  template <class... More>
  ConnectionOn(AnySocket socket, Peer peer, std::shared_ptr<const ServerRules> rules, More&... more)
      : stream_(Plain(std::move(socket)), more...), peer_(std::move(peer)), rules_(std::move(rules)) {}

  void close() override {
    closed_ = true;
    plain().close();
  }

  bool is_silent() override {
    boost::system::error_code error;
    return !begun_ && buffer_.size() == 0 && plain().socket().available(error) == 0;
  }

  awaitable<void> serve() override {
    try {
      bool again = co_await greet();
      while (again && !closed_) again = co_await serve_one();
    } catch (const std::exception& error) {  // of Beast itself, out of memory: this connection ends
      spdlog::error("serving a connection: {}", error.what());
    }
    waiting_since_.reset();
  }

 private:
  static constexpr bool secure = !std::is_same_v<Stream, Plain>;

  Plain& plain() {
    if constexpr (secure) {
      return stream_.next_layer();
    } else {
      return stream_;
    }
  }

  awaitable<bool> greet() {
    boost::system::error_code error;
    if constexpr (secure) {
      plain().expires_after(longest_handshake);
      co_await stream_.async_handshake(Stream::server, awaiting(error));
      if (!error) peer_.certificate = certificate_of(stream_.native_handle());
    }
    co_return !error;
  }

  // Reads one request and answers it; whether another may follow.
  awaitable<bool> serve_one() {
    Parser parser;
    Share share = rules_->room->nothing_yet();
    waiting_since_ = std::chrono::steady_clock::now();
    std::optional<Request> request = co_await read(parser, share);
    waiting_since_.reset();
    if (!request) co_return false;
    const bool keep_alive = parser.get().keep_alive();
    const bool head = parser.get().method() == wire::verb::head;
    boost::system::error_code error;
    Response response = co_await answer(std::move(*request));
    if (closed_) co_return false;
    if (response.pieces && !head) {
      share = rules_->room->nothing_yet();
      co_await send_pieces(std::move(response));
      co_return false;
    }
    if (!share.resize(head ? 0 : size_of(response))) response = no_room("this answer beside those that nobody has taken yet");
    co_await send(std::move(response), keep_alive, head, error);
    co_return !error && keep_alive;
  }

  // None where the peer has gone, or was refused.
  awaitable<std::optional<Request>> read(Parser& parser, Share& share) {
    ByteCount longest = rules_->longest_body;
    parser.header_limit(longest_header);
    parser.body_limit(longest.value());
    boost::system::error_code error;
    plain().expires_after(longest_silence);
    co_await wire::async_read_header(stream_, buffer_, parser, awaiting(error));
    begun_ = true;
    std::optional<Request> request;
    std::optional<Response> refused;
    if (!error) {
      request = head_of(parser.get(), peer_, secure);
      refused = co_await look_at_head(parser, request, longest, share);
      if (closed_) co_return std::nullopt;
    }
    if (!error && !refused && beast::iequals(parser.get()[wire::field::expect], "100-continue")) {
      wire::response<wire::empty_body> go_on(wire::status::continue_, 11);
      plain().expires_after(longest_silence);
      co_await wire::async_write(stream_, go_on, awaiting(error));
    }
    if (!error && !refused) {
      plain().expires_after(longest_silence);
      co_await wire::async_read(stream_, buffer_, parser, awaiting(error));
    }
    if (error) refused = refusal(error, longest);
    if (refused) {
      waiting_since_.reset();
      co_await send(std::move(*refused), false, false, error);
      co_await discard_rest();
      co_return std::nullopt;
    }
    if (error) co_return std::nullopt;
    request->body = std::move(parser.get().body());
    co_return request;
  }

  // What is answered to this head; none where its body may be read: then it is at most `longest`, and `share` has room for it.
  awaitable<std::optional<Response>> look_at_head(Parser& parser, const std::optional<Request>& head, ByteCount& longest, Share& share) {
    if (!head) {
      co_return error_response(Error(ErrorCode::invalid_data, "the target is no path like /v1/status, percent-encoded"));
    }
    Admission admission{longest};
    if (rules_->admit) admission = rules_->admit(*head);
    longest = std::min(longest, admission.longest_body);
    const std::uint64_t most = parser.chunked() ? longest.value() : parser.content_length().value_or(0);
    if (most > longest.value()) co_return admission.otherwise ? std::move(*admission.otherwise) : too_long(longest);
    parser.body_limit(longest.value());
    auto taken = co_await rules_->room->take(most);
    if (!taken) co_return no_room("a body of " + ByteCount(most).human());
    share = std::move(*taken);
    co_return std::nullopt;
  }

  awaitable<Response> answer(Request request) {
    const std::string what = request.method + " " + request.path;
    std::string problem;
    // The work of a request may take longer than a silent peer may.
    try {
      Response response = co_await rules_->handler(std::move(request));
      co_return response;
    } catch (const std::exception& error) {
      problem = error.what();
    }
    spdlog::error("{}: {}", what, problem);
    co_return error_response(Error(ErrorCode::internal, problem));
  }

  awaitable<void> send(Response response, bool keep_alive, bool head,
                       boost::system::error_code& error) {
    wire::response<wire::string_body> message;
    set_head(message, response, keep_alive);
    const std::uint64_t length = size_of(response);
    if (!head) message.body() = std::move(response.body);
    if (response.status != 304) message.content_length(length);
    plain().expires_after(longest_silence);
    co_await wire::async_write(stream_, message, awaiting(error));
    if (head) co_return;
    for (Bytes& part : response.parts) {
      if (error) co_return;
      co_await asio::async_write(stream_, asio::buffer(part), awaiting(error));
      part = {};
    }
  }

  awaitable<void> send_pieces(Response response) {
    boost::system::error_code error;
    if (!rules_->may_stream()) {
      co_await send(error_response(Error(ErrorCode::timeout, "too many listen here already; later")),
                    false, false, error);
      co_return;
    }
    reads_pieces_ = true;
    rules_->changed();
    wire::response<wire::empty_body> message;
    set_head(message, response, false);
    message.chunked(true);
    wire::response_serializer<wire::empty_body> serializer(message);
    plain().expires_after(longest_standstill);
    co_await wire::async_write_header(stream_, serializer, awaiting(error));
    while (!error && !closed_) {
      std::optional<std::string> piece = co_await response.pieces();
      if (!piece || closed_) break;
      if (piece->empty()) continue;
      plain().expires_after(longest_standstill);
      co_await asio::async_write(stream_, wire::make_chunk(asio::buffer(*piece)), awaiting(error));
    }
    if (error || closed_) co_return;
    plain().expires_after(longest_farewell);
    co_await asio::async_write(stream_, wire::make_chunk_last(), awaiting(error));
  }

  // After a refusal what the peer still sends is thrown away for a moment, so that it reads the
  // answer instead of a reset.
  awaitable<void> discard_rest() {
    boost::system::error_code error;
    if constexpr (!secure) stream_.socket().shutdown(AnySocket::shutdown_send, error);
    plain().expires_after(longest_farewell);
    std::string waste(64 * 1024, '\0');
    while (!error) co_await stream_.async_read_some(asio::buffer(waste), awaiting(error));
  }

  Stream stream_;
  Peer peer_;
  std::shared_ptr<const ServerRules> rules_;
  beast::flat_buffer buffer_;
  bool begun_ = false;  // at least a first request's head came
  bool closed_ = false;
};

}  // namespace outcrop::http
