#include "bench/fleet/lookers.hpp"

#include <array>
#include <set>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "platform/http/client.hpp"

namespace outcrop::bench {
namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds between_lists{100};
constexpr std::chrono::milliseconds between_tries{50};
constexpr int lists_a_page = 20;
constexpr int lists_a_scrape = 50;
const std::string request = "GET /v1/events HTTP/1.1\r\nHost: local\r\n\r\n";

double milliseconds_since(Clock::time_point then) {
  return std::chrono::duration<double, std::milli>(Clock::now() - then).count();
}

}  // namespace

struct Lookers::Listener {
  explicit Listener(asio::io_context& loop) : socket(loop), again(loop) {}
  asio::local::stream_protocol::socket socket;
  asio::steady_timer again;
  std::array<char, 16 * 1024> piece{};
  std::string received;
  std::set<std::string> heard;
};

Lookers::Lookers(std::filesystem::path socket, std::size_t listeners) : socket_(std::move(socket)) {
  for (std::size_t i = 0; i < listeners; ++i) listeners_.push_back(std::make_shared<Listener>(loop_));
  hears_ = std::thread([this] {
    const auto work = asio::make_work_guard(loop_);
    for (const auto& listener : listeners_) listen(listener);
    loop_.run();
  });
  asks_ = std::thread([this] { look(); });
}

Lookers::~Lookers() {
  ended_ = true;
  loop_.stop();
  hears_.join();
  asks_.join();
}

void Lookers::expect(const std::string& board) {
  const std::lock_guard lock(mutex_);
  expected_.insert_or_assign(board, Clock::now());
}

Looked Lookers::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(looked_, {});
}

// Due at fixed times: one that had to wait for the one before counts from when it was due.
void Lookers::look() {
  auto due = Clock::now();
  for (int turn = 0; !ended_; ++turn, due += between_lists) {
    std::this_thread::sleep_until(due);
    ask("/v1/devices?limit=100&sort=-p90", &Looked::list, due);
    if (turn % lists_a_page == 0) ask("/", &Looked::page, Clock::now());
    if (turn % lists_a_scrape == 0) ask("/metrics", &Looked::scrape, Clock::now());
  }
}

void Lookers::ask(const std::string& target, LogHistogram Looked::*of, Clock::time_point due) {
  const auto answer = http::call(socket_, {"GET", target});
  const bool well = answer && answer->status == 200;
  const std::lock_guard lock(mutex_);
  if (well) {
    (looked_.*of).add(milliseconds_since(due));
  } else {
    ++looked_.failures;
  }
}

void Lookers::listen(const std::shared_ptr<Listener>& listener) {
  listener->socket.async_connect(asio::local::stream_protocol::endpoint(socket_.string()),
                                 [this, listener](const error_code& refused) {
                                   if (refused) return listen_again(listener);
                                   asio::async_write(listener->socket, asio::buffer(request),
                                                     [this, listener](const error_code& error, std::size_t) {
                                                       if (error) return;
                                                       ++listening_;
                                                       read(listener);
                                                     });
                                 });
}

// A Unix socket has a queue for so many that were not taken yet.
void Lookers::listen_again(const std::shared_ptr<Listener>& listener) {
  listener->socket.close();
  listener->again.expires_after(between_tries);
  listener->again.async_wait([this, listener](const error_code& error) {
    if (!error) listen(listener);
  });
}

void Lookers::read(const std::shared_ptr<Listener>& listener) {
  listener->socket.async_read_some(asio::buffer(listener->piece),
                                   [this, listener](const error_code& error, std::size_t size) {
                                     if (error) {
                                       --listening_;
                                       return;
                                     }
                                     std::string& text = listener->received;
                                     text.append(listener->piece.data(), size);
                                     std::size_t begin = 0;
                                     for (std::size_t end = 0; (end = text.find("\n\n", begin)) != std::string::npos;
                                          begin = end + 2) {
                                       hear(*listener, std::string_view(text).substr(begin, end - begin));
                                     }
                                     text.erase(0, begin);
                                     read(listener);
                                   });
}

void Lookers::hear(Listener& listener, std::string_view event) {
  if (event.find("held by its owner") == std::string_view::npos) return;
  constexpr std::string_view key = "\"name\":\"";
  const std::size_t at = event.find(key);
  if (at == std::string_view::npos) return;
  const std::string_view rest = event.substr(at + key.size());
  const std::string name(rest.substr(0, rest.find('"')));
  const std::lock_guard lock(mutex_);
  const auto expected = expected_.find(name);
  if (expected == expected_.end() || !listener.heard.insert(name).second) return;
  looked_.event.add(milliseconds_since(expected->second));
}

}  // namespace outcrop::bench
