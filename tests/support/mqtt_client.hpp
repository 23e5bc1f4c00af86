#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "protocol/transport/paho/paho_session.hpp"

namespace outcrop::transport {

// Runs the loop until something is so; for tests with one thread.
class Loop {
 public:
  [[nodiscard]] boost::asio::any_io_executor executor() { return io_.get_executor(); }

  // False where it is not so after `patience`.
  bool until(const std::function<bool()>& so,
             std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!so()) {
      if (std::chrono::steady_clock::now() >= end) return false;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  void run_for(std::chrono::milliseconds duration) {
    io_.restart();
    io_.run_for(duration);
  }

 private:
  boost::asio::io_context io_;
};

// A session that remembers what happened to it.
class Client {
 public:
  Client(Loop& loop, const SessionOptions& options, std::vector<std::string> filters = {})
      : loop_(loop), session_(make_paho_session(loop.executor(), options)) {
    session_->start(
        {.connected = [this, filters] { on_connected(filters); },
         .lost = [this](const Error& error) { losses_.push_back(error); },
         .message = [this](Message message) { messages_.push_back(std::move(message)); }});
  }

  [[nodiscard]] Session& session() { return *session_; }
  void forget_session() { session_.reset(); }

  // Connected so many times in all, and all filters subscribed each time.
  bool ready(int times = 1, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    return loop_.until([&] { return ready_ >= times; }, patience);
  }
  bool has_messages(std::size_t count,
                    std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    return loop_.until([&] { return messages_.size() >= count; }, patience);
  }
  // Publishes and waits for the answer.
  Status publish(Message message, Delivery delivery = Delivery::at_least_once) {
    std::optional<Status> answer;
    session_->publish(std::move(message), delivery, [&](Status status) { answer = status; });
    loop_.until([&] { return answer.has_value(); });
    return answer.value_or(fail(ErrorCode::timeout, "no answer"));
  }
  bool stop() {
    bool stopped = false;
    session_->stop([&] { stopped = true; });
    return loop_.until([&] { return stopped; });
  }

  [[nodiscard]] const std::vector<Message>& messages() const { return messages_; }
  [[nodiscard]] const std::vector<Error>& losses() const { return losses_; }

 private:
  void on_connected(const std::vector<std::string>& filters) {
    if (filters.empty()) ++ready_;
    for (const std::string& filter : filters) {
      const bool last = &filter == &filters.back();
      session_->subscribe(filter, Delivery::at_least_once, [this, last](Status status) {
        if (status && last) ++ready_;
      });
    }
  }

  Loop& loop_;
  std::vector<Message> messages_;
  std::vector<Error> losses_;
  int ready_ = 0;
  std::unique_ptr<Session> session_;
};

}  // namespace outcrop::transport
