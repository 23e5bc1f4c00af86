#pragma once

#include <utility>  // before Asio

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include "protocol/base/bytes.hpp"

namespace outcrop::fleet {

// What changes in the fleet, told to whoever listens, as Server-Sent Events (HTML Living Standard, 9.2). Each has
// an id, "START.NUMBER": whoever was away names the last that it had and gets what came since, or, where that is
// forgotten or of before the start of this program, an event `reset`: look at everything again. Of a listener that
// is too slow nothing is kept beyond 256 KiB: it is let go. One thread.
class Events {
 public:
  explicit Events(boost::asio::any_io_executor executor, std::string start);

  // `data`: one line of JSON.
  void publish(const std::string& type, const std::string& data);

  // The pieces of an answer to one listener, `last_event_id` as it said it or "". A comment where nothing
  // comes for 15 s, so that who has gone is noticed. They end when the listener is let go or the object dies.
  using Next = std::function<boost::asio::awaitable<std::optional<std::string>>()>;
  [[nodiscard]] Next listen(const std::string& last_event_id);

  [[nodiscard]] std::size_t listeners() const;
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  static constexpr ByteCount most_waiting = ByteCount::kib(256);
  static constexpr std::size_t most_remembered = 4096;

 private:
  struct Listener {
    explicit Listener(const boost::asio::any_io_executor& executor)
        : wake(executor, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer wake;
    std::string waiting;
    bool ended = false;
  };
  void give(Listener& listener, const std::string& text);

  boost::asio::any_io_executor executor_;
  std::string start_;
  std::uint64_t last_ = 0;
  std::deque<std::string> remembered_;  // the newest, as they were sent; the last has the number last_
  std::list<std::weak_ptr<Listener>> listeners_;
  std::uint64_t dropped_ = 0;
};

}  // namespace outcrop::fleet
