#include "platform/http/server.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "platform/http/client.hpp"
#include "protocol/base/unique_fd.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::http {
namespace {

using boost::asio::awaitable;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// 40 pieces of 64 KiB: more than a socket holds for a reader that does not read.
Response many_pieces() {
  Response response{200, "text/plain"};
  response.pieces = [left = 40]() mutable -> awaitable<std::optional<std::string>> {
    if (left-- == 0) co_return std::nullopt;
    co_return std::string(64 * 1024, 'x');
  };
  return response;
}

awaitable<Response> answer(Request request) {
  if (request.path == "/large") co_return Response{200, "text/plain", std::string(1 << 20, 'x')};
  if (request.path == "/parts") {
    Response response{200, "text/plain", "head "};
    for (const char* part : {"one ", "", "two"}) response.parts.push_back(to_bytes(part));
    co_return response;
  }
  if (request.path == "/pieces") co_return many_pieces();
  if (request.path == "/header") {
    co_return Response{200, "text/plain", request.header("x-asked"), {{"X-Answered", "yes"}}};
  }
  if (request.path == "/throw") throw std::runtime_error("the handler broke");
  if (request.path == "/missing") {
    co_return error_response(Error(ErrorCode::not_found, "no such board"));
  }
  std::string body = request.method + " " + request.path;
  for (const auto& [key, value] : request.query) body += " " + key + "=" + value;
  body += " " + std::to_string(request.body.size());
  if (request.peer_uid != ::getuid()) body += " wrong uid";
  co_return Response{200, "text/plain", std::move(body)};
}

class HttpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    listen(answer);
    loop_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    boost::asio::post(io_, [this] { server_.reset(); });
    work_.reset();
    loop_.join();
  }
  void listen(Handler handler) { listen({socket_, 0600, ByteCount::kib(64)}, std::move(handler)); }
  void listen(const ServerOptions& options, Handler handler) {
    auto server = Server::listen(io_.get_executor(), options, std::move(handler));
    ASSERT_THAT(server, IsOk());
    server_.emplace(std::move(*server));
  }
  // Another in its place.
  void serve_by(Admit admit, const RoomOptions& room) {
    std::promise<void> there;
    boost::asio::post(io_, [&] {
      server_.reset();
      ServerOptions options{socket_, 0600, ByteCount::mib(1)};
      options.admit = std::move(admit);
      options.room = room;
      listen(options, answer);
      there.set_value();
    });
    there.get_future().wait();
  }
  // One that has sent the head of a request and no more.
  [[nodiscard]] UniqueFd ask(const std::string& head) const {
    UniqueFd fd = connect();
    const std::string bytes = head + "\r\nHost: a\r\n\r\n";
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    return fd;
  }
  // The first bytes that come.
  static std::string heard(const UniqueFd& fd) {
    std::string text(400, '\0');
    const ssize_t got = ::recv(fd.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }
  [[nodiscard]] UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
    return fd;
  }
  // What comes back for these very bytes until the server closes.
  std::string raw(const std::string& bytes) const {
    const UniqueFd fd = connect();
    if (!fd) return "";
    EXPECT_GT(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    ::shutdown(fd.get(), SHUT_WR);
    std::string answer(64 * 1024, '\0');
    std::size_t filled = 0;
    while (filled < answer.size()) {
      const ssize_t got = ::recv(fd.get(), answer.data() + filled, answer.size() - filled, 0);
      if (got <= 0) break;
      filled += static_cast<std::size_t>(got);
    }
    answer.resize(filled);
    return answer;
  }
  Result<Answer> get(const std::string& target) const { return call(socket_, {"GET", target}); }

  TemporaryFolder folder_;
  std::filesystem::path socket_ = folder_.path() / "http.sock";
  boost::asio::io_context io_;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_{
      io_.get_executor()};
  std::optional<Server> server_;
  std::thread loop_;
};

TEST_F(HttpTest, requests_arrive_decoded_and_say_who_asks) {
  auto answer = get("/v1/devices/" + encode("a b/c") + "?device=pi-1&text=%C3%A4+x&flag");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->content_type, "text/plain");
  EXPECT_EQ(answer->body, "GET /v1/devices/a b/c device=pi-1 flag= text=\u00e4+x 0");
  auto put = call(socket_, {"PUT", "/v1/x", "application/octet-stream", std::string(65'536, 'x')});
  ASSERT_THAT(put, IsOk());
  EXPECT_EQ(put->body, "PUT /v1/x 65536");
}

TEST_F(HttpTest, errors_cross_the_socket_and_come_back) {
  auto answer = get("/missing");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->status, 404);
  EXPECT_EQ(answer->content_type, "application/problem+json");
  EXPECT_EQ(answer->body,
            R"({"detail":"no such board","error":{"code":"not_found","message":"no such board"},)"
            R"("status":404,"title":"Not Found","type":"about:blank"})");
  EXPECT_THAT(call_ok(socket_, {"GET", "/missing"}),
              ErrorIs(ErrorCode::not_found, HasSubstr("no such board")));
  EXPECT_EQ(error_response(Error(ErrorCode::no_space, "")).status, 507);
  EXPECT_EQ(error_response(Error(ErrorCode::revoked, "")).status, 403);
  EXPECT_EQ(error_response(Error(ErrorCode::already_exists, "")).status, 409);
}

TEST_F(HttpTest, a_handler_that_throws_does_not_end_the_server) {
  auto answer = get("/throw");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->status, 500);
  EXPECT_THAT(answer->body, HasSubstr("the handler broke"));
  EXPECT_EQ(get("/v1/x")->status, 200);
}

TEST_F(HttpTest, what_is_no_http_is_refused) {
  EXPECT_THAT(raw("hello\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET /v1/%zz HTTP/1.1\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(raw("GET /v1/x HTT"), "");  // went away in the middle
  EXPECT_EQ(get("/v1/x")->status, 200);
}

TEST_F(HttpTest, a_body_above_the_limit_is_answered_413) {
  for (const std::size_t size : {std::size_t{65'537}, std::size_t{20} << 20}) {
    auto answer = call(socket_, {"PUT", "/v1/x", "text/plain", std::string(size, 'x')});
    ASSERT_THAT(answer, IsOk()) << size;
    EXPECT_EQ(answer->status, 413);
  }
  const std::string chunked = "PUT /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" +
                              std::string(0x20000, 'x') + "\r\n0\r\n\r\n";
  EXPECT_THAT(raw(chunked), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpTest, how_long_a_body_may_be_is_decided_by_the_head_before_it_is_read) {
  serve_by(
      [](const Request& head) -> Admission {
        if (head.path == "/known" && head.header("x-who") == "me") return {ByteCount::kib(512)};
        return {ByteCount::kib(4), error_response(Error(ErrorCode::untrusted, "who are you"), 401)};
      },
      {});
  const std::string long_one = " HTTP/1.1\r\nContent-Length: 5000";
  EXPECT_THAT(heard(ask("PUT /known" + long_one)), AllOf(StartsWith("HTTP/1.1 401"), HasSubstr("who are you")));
  EXPECT_THAT(heard(ask("PUT /other" + long_one + "\r\nX-Who: me")), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(heard(ask("PUT /known" + long_one + "\r\nX-Who: me\r\nExpect: 100-continue")), StartsWith("HTTP/1.1 100"));
  EXPECT_THAT(heard(ask("PUT /known HTTP/1.1\r\nContent-Length: 600000\r\nX-Who: me")), StartsWith("HTTP/1.1 413"));
  const std::string chunks = "\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'x') + "\r\n0\r\n\r\n";
  EXPECT_THAT(raw("PUT /other HTTP/1.1" + chunks), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(raw("PUT /known HTTP/1.1\r\nX-Who: me" + chunks), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpTest, bodies_that_find_no_room_wait_their_turn_and_are_refused_when_it_does_not_come) {
  const std::string body(1 << 20, 'x');
  const std::string half = "PUT /v1/x HTTP/1.1\r\nContent-Length: 1048576";
  serve_by({}, {ByteCount::mib(1), std::chrono::milliseconds(50)});
  {
    const UniqueFd first = ask(half);
    EXPECT_THAT(heard(ask("PUT /v1/x HTTP/1.1\r\nContent-Length: 100000")), AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1\r\n")));
    EXPECT_THAT(heard(ask("PUT /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked")), StartsWith("HTTP/1.1 503")) << "it may become as long";
    EXPECT_EQ(call(socket_, {"PUT", "/v1/x", "text/plain", std::string(60'000, 'x')})->status, 200) << "small ones go on";
  }
  serve_by({}, {ByteCount::mib(1), std::chrono::seconds(60)});
  UniqueFd first = ask(half);
  std::vector<std::future<Result<Answer>>> others;
  for (int i = 0; i < 3; ++i) {
    others.push_back(std::async(std::launch::async, [&] { return call(socket_, {"PUT", "/v1/x", "text/plain", body}); }));
  }
  EXPECT_EQ(get("/v1/x")->status, 200);
  EXPECT_EQ(others.front().wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  first.reset();
  for (auto& other : others) EXPECT_EQ(other.get()->status, 200);
}

TEST_F(HttpTest, answers_that_nobody_takes_leave_no_room_for_more) {
  serve_by({}, {ByteCount(1'500'000), std::chrono::milliseconds(50)});
  UniqueFd still = ask("GET /large HTTP/1.1");
  EXPECT_THAT(heard(still), StartsWith("HTTP/1.1 200"));
  const auto answer = get("/large");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("nobody has taken yet"));
  EXPECT_EQ(get("/v1/x")->status, 200);
  still.reset();
  auto again = get("/large");
  for (int i = 0; i < 500 && again && again->status == 503; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    again = get("/large");
  }
  EXPECT_EQ(again->body.size(), std::size_t{1} << 20);
}

TEST_F(HttpTest, an_answer_of_parts_is_one_body) {
  const auto answer = get("/parts");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->body, "head one two");
  EXPECT_THAT(raw("HEAD /parts HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
              AllOf(HasSubstr("Content-Length: 12\r\n"), ::testing::EndsWith("\r\n\r\n")));
}

TEST_F(HttpTest, one_connection_carries_several_requests) {
  const std::string request = "GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answers = raw(request + request);
  EXPECT_NE(answers.find("GET /v1/x 0"), answers.rfind("GET /v1/x 0"));
}

TEST_F(HttpTest, more_connections_than_places_wait_their_turn) {
  std::vector<std::thread> callers;
  std::atomic<int> good = 0;
  for (int i = 0; i < 50; ++i) {
    callers.emplace_back([&] {
      const auto answer = get("/v1/x");
      if (answer && answer->status == 200) ++good;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(good, 50);
}

TEST_F(HttpTest, connections_that_ask_nothing_keep_nobody_out) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(connect());
  const UniqueFd slow = connect();  // half a request
  ASSERT_GT(::send(slow.get(), "GET /v1/x HT", 12, MSG_NOSIGNAL), 0);
  const auto answer = get("/v1/x");  // within the 30 s that a caller has; the silent ones have 60
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->status, 200);
}

// A silent one has 50 ms, whoever began to ask a second.
TEST_F(HttpTest, connections_that_never_sent_a_byte_give_up_their_places_before_older_ones_that_did) {
  const UniqueFd slow = connect();
  const std::string_view ask = "GET /v1/slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  ASSERT_GT(::send(slow.get(), ask.data(), 12, MSG_NOSIGNAL), 0);
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(connect());
  ASSERT_THAT(get("/v1/x"), IsOk());
  ASSERT_GT(::send(slow.get(), ask.data() + 12, ask.size() - 12, MSG_NOSIGNAL), 0);
  char answered[16]{};
  EXPECT_GT(::recv(slow.get(), answered, sizeof answered, 0), 0);
  EXPECT_THAT(std::string(answered, sizeof answered), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpTest, an_answer_in_pieces_arrives_whole_and_a_reader_that_stands_still_holds_nobody_up) {
  const UniqueFd still = connect();
  const std::string_view ask = "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_GT(::send(still.get(), ask.data(), ask.size(), MSG_NOSIGNAL), 0);
  const auto answer = get("/pieces");
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->body, std::string(40 * 64 * 1024, 'x'));
}

TEST_F(HttpTest, headers_go_both_ways_and_head_has_no_body) {
  const std::string asked =
      raw("GET /header HTTP/1.1\r\nHost: a\r\nX-Asked: this\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(asked, HasSubstr("X-Answered: yes\r\n"));
  EXPECT_THAT(asked, ::testing::EndsWith("\r\n\r\nthis"));
  const std::string head =
      raw("HEAD /header HTTP/1.1\r\nHost: a\r\nX-Asked: this\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(head, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpTest, tcp_in_plain_is_for_this_machine_alone) {
  EXPECT_THAT(Server::listen_tcp(io_.get_executor(), {"0.0.0.0", 0}, answer),
              ErrorIs(ErrorCode::refused, HasSubstr("certificate")));
  EXPECT_THAT(Server::listen_tcp(io_.get_executor(), {"here", 0}, answer),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("no address")));
  auto server = Server::listen_tcp(io_.get_executor(), {"127.0.0.1", 0}, answer);
  ASSERT_THAT(server, IsOk());
  const std::string url = "http://127.0.0.1:" + std::to_string(server->port()) + "/v1/x";
  if (std::system("command -v curl >/dev/null") != 0) GTEST_SKIP() << "no curl here";
  EXPECT_EQ(std::system(("curl -sf " + url + " | grep -q wrong.uid").c_str()), 0);
  std::promise<void> gone;  // on the loop's thread, where it lives
  boost::asio::post(io_, [&] {
    { const Server ended = std::move(*server); }
    gone.set_value();
  });
  gone.get_future().wait();
}

TEST_F(HttpTest, curl_works_as_documented) {
  const std::string file = (folder_.path() / "out").string();
  const std::string command =
      "curl -sf --unix-socket " + socket_.string() + " http://local/v1/status -o " + file;
  if (std::system("command -v curl >/dev/null") != 0) GTEST_SKIP() << "no curl here";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

TEST_F(HttpTest, a_socket_that_is_served_is_left_alone) {
  auto second = Server::listen(io_.get_executor(), {socket_, 0600, ByteCount::kib(64)}, answer);
  EXPECT_THAT(second, ErrorIs(ErrorCode::already_exists, HasSubstr("is served already")));
  EXPECT_EQ(get("/v1/x")->status, 200);
  struct stat info {};
  ASSERT_EQ(::stat(socket_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(HttpTest, a_socket_left_by_a_dead_process_is_replaced) {
  const std::filesystem::path stale = folder_.path() / "stale.sock";
  {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, stale.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(fd.get(), 1), 0);
  }
  EXPECT_THAT(call(stale, {}), ErrorIs(ErrorCode::io, HasSubstr("refused")));
  boost::asio::io_context other;
  {
    auto server = Server::listen(other.get_executor(), {stale, 0660, ByteCount::kib(64)}, answer);
    EXPECT_THAT(server, IsOk());
  }
  EXPECT_FALSE(std::filesystem::exists(stale));  // removed with the server
  EXPECT_THAT(call(stale, {}), ErrorIs(ErrorCode::not_found, HasSubstr("stale.sock")));
}

TEST_F(HttpTest, other_files_are_never_replaced) {
  const std::filesystem::path file = folder_.path() / "file";
  std::FILE* made = std::fopen(file.c_str(), "w");
  ASSERT_NE(made, nullptr);
  std::fclose(made);
  EXPECT_THAT(Server::listen(io_.get_executor(), {file, 0600, ByteCount::kib(64)}, answer),
              ErrorIs(ErrorCode::already_exists, HasSubstr("is no socket")));
  EXPECT_THAT(
      Server::listen(io_.get_executor(),
                     {folder_.path() / std::string(120, 'a'), 0600, ByteCount::kib(64)}, answer),
      ErrorIs(ErrorCode::invalid_argument, HasSubstr("must have 1 to 107 bytes")));
}

// One that is killed before it answers, then is back.
TEST_F(HttpTest, a_call_with_a_key_is_made_again_where_its_answer_was_lost) {
  std::atomic<int> calls = 0;
  std::promise<void> gone;
  const auto restart = [&] {
    boost::asio::post(io_, [&] {
      server_.reset();
      gone.set_value();
    });
    gone.get_future().wait();
    listen([&](const Request& request) -> awaitable<Response> {
      ++calls;
      co_return Response{200, "text/plain", request.header("idempotency-key")};
    });
  };
  boost::asio::post(io_, [&] {
    server_.reset();
    listen([&](const Request&) -> awaitable<Response> {
      if (++calls == 1) boost::asio::post(io_, [&] { server_.reset(); });
      boost::asio::steady_timer later(io_, std::chrono::milliseconds(300));
      co_await later.async_wait(boost::asio::use_awaitable);
      co_return Response();
    });
    gone.set_value();
  });
  gone.get_future().wait();
  gone = std::promise<void>();
  auto asked = std::async(std::launch::async, [&] { return call(socket_, {"POST", "/x", "", "{}", std::chrono::seconds(20), "k-1"}); });
  while (calls == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  restart();
  const auto answer = asked.get();
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(answer->body, "k-1");
  EXPECT_EQ(calls, 2);
}

TEST_F(HttpTest, a_silent_server_is_given_up_in_time) {
  const std::filesystem::path silent = folder_.path() / "silent.sock";
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, silent.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(fd.get(), 1), 0);
  Call slow;
  slow.deadline = std::chrono::milliseconds(100);
  EXPECT_THAT(call(silent, slow), ErrorIs(ErrorCode::timeout, HasSubstr("no answer in time")));
}

}  // namespace
}  // namespace outcrop::http
