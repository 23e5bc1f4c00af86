#include "trainer_host/fleet/view/events.hpp"

#include <chrono>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/number.hpp"

namespace outcrop::fleet {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::seconds longest_quiet{15};

}  // namespace

Events::Events(asio::any_io_executor executor, std::string start)
    : executor_(std::move(executor)), start_(std::move(start)) {}

void Events::give(Listener& listener, const std::string& text) {
  if (listener.ended) return;
  const bool is_first = listener.waiting.empty();  // with something to send it does not wait
  if (listener.waiting.size() + text.size() > most_waiting.value()) {
    listener.ended = true;
    listener.waiting.clear();
    ++dropped_;
  } else {
    listener.waiting += text;
  }
  if (is_first || listener.ended) listener.wake.cancel();
}

void Events::publish(const std::string& type, const std::string& data) {
  ++last_;
  std::string text = "id: " + start_ + "." + std::to_string(last_) + "\nevent: " + type +
                     "\ndata: " + data + "\n\n";
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    const auto listener = it->lock();
    if (!listener) {
      it = listeners_.erase(it);
      continue;
    }
    give(*listener, text);
    ++it;
  }
  remembered_.push_back(std::move(text));
  if (remembered_.size() > most_remembered) remembered_.pop_front();
}

Events::Next Events::listen(const std::string& last_event_id) {
  auto listener = std::make_shared<Listener>(executor_);
  listeners_.push_back(listener);
  // Browsers ask again after so long.
  listener->waiting = "retry: 2000\n\n";
  if (!last_event_id.empty()) {
    const std::string prefix = start_ + ".";
    // One that was never given is none.
    std::uint64_t seen = last_ + 1;
    if (last_event_id.starts_with(prefix)) {
      seen = read_number<std::uint64_t>(last_event_id.substr(prefix.size())).value_or(seen);
    }
    if (seen <= last_ && last_ - seen <= remembered_.size()) {
      for (std::size_t i = remembered_.size() - (last_ - seen); i < remembered_.size(); ++i) {
        give(*listener, remembered_[i]);
      }
    } else {
      listener->waiting += "event: reset\ndata: {}\n\n";
    }
  }
  listener->waiting += "id: " + start_ + "." + std::to_string(last_) + "\ndata:\n\n";
  return [listener]() -> asio::awaitable<std::optional<std::string>> {
    if (listener->waiting.empty() && !listener->ended) {
      boost::system::error_code error;
      listener->wake.expires_after(longest_quiet);
      co_await listener->wake.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
    if (listener->ended) co_return std::nullopt;
    if (listener->waiting.empty()) co_return std::string(":\n\n");
    co_return std::exchange(listener->waiting, {});
  };
}

std::size_t Events::listeners() const {
  std::size_t count = 0;
  for (const auto& one : listeners_) count += one.expired() ? 0 : 1;
  return count;
}

}  // namespace outcrop::fleet
