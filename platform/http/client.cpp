#include "platform/http/client.hpp"

#include <utility>  // before Asio

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "platform/http/error_names.hpp"

namespace outcrop::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace wire = boost::beast::http;
using boost::system::error_code;
using Protocol = asio::local::stream_protocol;

constexpr std::chrono::seconds longest_restart{15};  // of a server whose answer was lost
constexpr std::chrono::milliseconds ask_again{250};
constexpr std::uint64_t longest_answer = 272u << 20;  // what a runner may answer, and its header

Error error_of(const std::string& what, const error_code& error) {
  if (error == beast::error::timeout) return {ErrorCode::timeout, what + ": no answer in time"};
  ErrorCode code = ErrorCode::io;
  if (error.category() == boost::system::system_category()) {
    if (error.value() == ENOENT) code = ErrorCode::not_found;
    if (error.value() == EACCES || error.value() == EPERM) code = ErrorCode::refused;
  }
  return {code, what + ": " + error.message()};
}

// Connect, write, read, one after the other on a loop of its own.
class Exchange {
 public:
  Exchange(const std::string& socket, const Call& call)
      : endpoint_(socket), deadline_(call.deadline) {
    const auto verb = wire::string_to_verb(call.method);
    if (verb == wire::verb::unknown) {
      request_.method_string(call.method);
    } else {
      request_.method(verb);
    }
    request_.version(11);
    request_.target(call.target);
    request_.set(wire::field::host, "local");
    request_.keep_alive(false);
    if (!call.body.empty()) request_.set(wire::field::content_type, call.content_type);
    if (!call.idempotency_key.empty()) request_.set("Idempotency-Key", call.idempotency_key);
    request_.body() = call.body;
    request_.prepare_payload();
    parser_.body_limit(longest_answer);
  }

  error_code run() {
    const auto end = std::chrono::steady_clock::now() + deadline_;
    if (const error_code error = connect()) return error;
    connected_ = true;
    stream_.expires_at(end);
    wire::async_write(stream_, request_, [this](const error_code& failed, std::size_t) {
      // A server that refuses a long body answers before it has read it: read on.
      written_ = failed;
      if (failed == beast::error::timeout && finished(failed)) return;
      wire::async_read(stream_, buffer_, parser_,
                       [this](const error_code& ended, std::size_t) { finished(ended); });
    });
    loop_.run();
    return result_ && written_ ? written_ : result_;
  }

  [[nodiscard]] bool connected() const { return connected_; }

  Answer answer() {
    auto response = parser_.release();
    return {static_cast<int>(response.result_int()),
            std::string(response[wire::field::content_type]), std::move(response.body())};
  }

 private:
  // By the kernel's own call: where the server's queue is full it waits for room, which Asio takes for a connection.
  error_code connect() {
    error_code error;
    stream_.socket().open(Protocol(), error);
    if (error) return error;
    const auto seconds = std::chrono::floor<std::chrono::seconds>(deadline_);
    const timeval patience{static_cast<time_t>(seconds.count()),
                           static_cast<suseconds_t>(std::chrono::microseconds(deadline_ - seconds).count())};
    const int socket = stream_.socket().native_handle();
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    int result = 0;
    do {
      result = ::connect(socket, endpoint_.data(), static_cast<socklen_t>(endpoint_.size()));
    } while (result != 0 && errno == EINTR);
    if (result == 0) return {};
    return errno == EAGAIN ? error_code(beast::error::timeout) : error_code(errno, boost::system::system_category());
  }

  bool finished(const error_code& error) {
    result_ = error;
    return static_cast<bool>(error);
  }

  asio::io_context loop_;
  Protocol::endpoint endpoint_;
  std::chrono::milliseconds deadline_;
  beast::basic_stream<Protocol, asio::io_context::executor_type> stream_{loop_};
  beast::flat_buffer buffer_;
  wire::request<wire::string_body> request_;
  wire::response_parser<wire::string_body> parser_;
  error_code result_;
  error_code written_;
  bool connected_ = false;
};

}  // namespace

Result<Answer> call(const std::filesystem::path& socket, const Call& call) {
  const std::string what = "speaking to " + socket.string();
  const auto give_up = std::chrono::steady_clock::now() + std::min<std::chrono::milliseconds>(call.deadline, longest_restart);
  try {
    for (bool lost = false;;) {
      Exchange exchange(socket.string(), call);
      const error_code error = exchange.run();
      if (!error) return exchange.answer();
      lost = lost || exchange.connected();
      const bool again = lost && !call.idempotency_key.empty() && error != beast::error::timeout;
      if (!again || std::chrono::steady_clock::now() >= give_up) return fail(error_of(what, error));
      std::this_thread::sleep_for(ask_again);
    }
  } catch (const boost::system::system_error& error) {
    return fail(error_of(what, error.code()));
  } catch (const std::exception& error) {
    return fail(ErrorCode::io, what + ": " + error.what());
  }
}

Result<Answer> checked(Answer answer, const Call& request) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  if (auto error = error_of_body(answer.body)) return fail(std::move(*error));
  return fail(ErrorCode::io, request.method + " " + request.target + " was answered with status " +
                                 std::to_string(answer.status));
}

Result<Answer> call_ok(const std::filesystem::path& socket, const Call& request) {
  OUTCROP_TRY(answer, call(socket, request));
  return checked(std::move(answer), request);
}

std::string encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.push_back('%');
      encoded.push_back(digits[byte >> 4]);
      encoded.push_back(digits[byte & 15]);
    }
  }
  return encoded;
}

}  // namespace outcrop::http
