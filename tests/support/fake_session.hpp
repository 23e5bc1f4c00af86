#pragma once

#include <utility>  // before Asio

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

#include "protocol/transport/session.hpp"

namespace outcrop::transport {

// Whether an MQTT filter with + and # takes a topic.
inline bool takes(std::string_view filter, std::string_view topic) {
  while (true) {
    const std::string_view want = filter.substr(0, filter.find('/'));
    const std::string_view have = topic.substr(0, topic.find('/'));
    if (want == "#") return true;
    if (want != "+" && want != have) return false;
    if (want.size() == filter.size() || have.size() == topic.size()) {
      return want.size() == filter.size() && have.size() == topic.size();
    }
    filter.remove_prefix(want.size() + 1);
    topic.remove_prefix(have.size() + 1);
  }
}

class FakeSession;

// A network in memory, for faults that a real broker cannot be talked into: `tamper` says what
// becomes of each message: {} loses it, two repeat it, one that was kept comes late.
class FakeNetwork {
 public:
  explicit FakeNetwork(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  std::function<std::vector<Message>(Message)> tamper;

  [[nodiscard]] std::unique_ptr<FakeSession> session();

 private:
  friend FakeSession;
  void carry(Message message);
  // Whoever subscribes hears what is retained.
  void remind(const std::shared_ptr<struct FakeClient>& client, const std::string& filter);

  boost::asio::any_io_executor executor_;
  std::map<std::string, Message> retained_;
  std::vector<std::weak_ptr<struct FakeClient>> clients_;
};

struct FakeClient {
  SessionHandlers handlers;
  std::vector<std::string> filters;
  bool connected = false;
};

class FakeSession final : public Session {
 public:
  FakeSession(FakeNetwork& network, std::shared_ptr<FakeClient> client)
      : network_(network), client_(std::move(client)) {}

  void start(SessionHandlers handlers) override {
    client_->handlers = std::move(handlers);
    if (!kept_out_) come_back();
  }
  void keep_out() { kept_out_ = true; }  // as where nobody is
  void stop(std::function<void()> done) override {
    client_->connected = false;
    client_->handlers = {};
    boost::asio::post(network_.executor_, std::move(done));
  }
  [[nodiscard]] bool connected() const override { return client_->connected; }
  void change_will(Message) override {}  // this network tells nobody

  void publish(Message message, Delivery, Completion done) override {
    ++published_;
    if (client_->connected) network_.carry(std::move(message));
    complete(std::move(done));
  }
  void subscribe(std::string filter, Delivery, Completion done) override {
    if (client_->connected) {
      client_->filters.push_back(filter);
      network_.remind(client_, filter);
    }
    complete(std::move(done));
  }
  void unsubscribe(std::string filter, Completion done) override {
    std::erase(client_->filters, filter);
    complete(std::move(done));
  }

  void break_off() {
    client_->connected = false;
    client_->filters.clear();
    if (client_->handlers.lost) client_->handlers.lost({ErrorCode::io, "broken off"});
  }
  void come_back() {
    client_->connected = true;
    boost::asio::post(network_.executor_, [client = client_] {
      if (client->handlers.connected) client->handlers.connected();
    });
  }
  // Completions are kept back from now on; `acknowledge` calls the oldest.
  void hold_acknowledgements() { holding_ = true; }
  void acknowledge() {
    Completion done = std::move(held_.front());
    held_.erase(held_.begin());
    done({});
  }

  [[nodiscard]] const std::vector<std::string>& filters() const { return client_->filters; }
  [[nodiscard]] std::size_t published() const { return published_; }
  [[nodiscard]] std::size_t unacknowledged() const { return held_.size(); }

 private:
  void complete(Completion done) {
    if (holding_) {
      held_.push_back(std::move(done));
      return;
    }
    const bool good = client_->connected;
    boost::asio::post(network_.executor_, [done = std::move(done), good] {
      done(good ? Status{} : Status(fail(ErrorCode::io, "not connected")));
    });
  }

  FakeNetwork& network_;
  std::shared_ptr<FakeClient> client_;
  bool kept_out_ = false;
  bool holding_ = false;
  std::vector<Completion> held_;
  std::size_t published_ = 0;
};

inline std::unique_ptr<FakeSession> FakeNetwork::session() {
  auto client = std::make_shared<FakeClient>();
  clients_.push_back(client);
  return std::make_unique<FakeSession>(*this, std::move(client));
}

inline void FakeNetwork::remind(const std::shared_ptr<FakeClient>& client, const std::string& filter) {
  for (const auto& [topic, message] : retained_) {
    if (!takes(filter, topic)) continue;
    boost::asio::post(executor_, [client, message = message] {
      if (client->connected && client->handlers.message) client->handlers.message(message);
    });
  }
}

inline void FakeNetwork::carry(Message message) {
  if (message.retained) retained_[message.topic] = message;
  std::vector<Message> arriving;
  if (tamper) {
    arriving = tamper(std::move(message));
  } else {
    arriving.push_back(std::move(message));
  }
  for (Message& one : arriving) {
    boost::asio::post(executor_, [this, one = std::move(one)] {
      for (const auto& known : clients_) {
        const auto client = known.lock();
        if (!client || !client->connected || !client->handlers.message) continue;
        const bool wanted =
            std::any_of(client->filters.begin(), client->filters.end(),
                        [&](const std::string& filter) { return takes(filter, one.topic); });
        if (wanted) client->handlers.message(one);
      }
    });
  }
}

}  // namespace outcrop::transport
