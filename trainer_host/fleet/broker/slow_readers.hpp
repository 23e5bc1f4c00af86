#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Chunks go to boards at most once, and what a board does not read lies in the broker's memory: by number alone
// (max_queued_messages) it may be more than the broker has. The broker says how much it holds; beyond a half of what it may
// take, whoever was sent most of late is disconnected, which frees what waits for it. A board that reads comes back and
// goes on where it was. What boards were sent must explain what the broker holds: it holds subscriptions, too, and what is retained, and
// nobody is disconnected for what another does.
class SlowReaders {
 public:
  struct Sent {
    std::string most;  // the board that was sent most of late
    ByteCount to_it;
    ByteCount to_all;
  };
  using Time = std::chrono::steady_clock::time_point;
  static constexpr const char* topic = "$SYS/broker/heap/current";
  static constexpr ByteCount too_much = ByteCount::mib(512);
  static constexpr ByteCount least = ByteCount::mib(32);  // that one board was sent
  static constexpr std::chrono::seconds pause{3};  // until what was freed shows

  // `disconnect` ends a board's connection, from which on what it was sent counts no more.
  SlowReaders(std::function<std::optional<Sent>()> sent, std::function<void(const std::string&)> disconnect)
      : sent_(std::move(sent)), disconnect_(std::move(disconnect)) {}

  // What the broker says on that topic, bytes. refused, in words for the log, where it is too much: who was disconnected, or that
  // it is nobody's reading.
  [[nodiscard]] Status on_heap(std::string_view text, Time now);

 private:
  std::function<std::optional<Sent>()> sent_;
  std::function<void(const std::string&)> disconnect_;
  std::optional<Time> last_;
};

}  // namespace outcrop::fleet
