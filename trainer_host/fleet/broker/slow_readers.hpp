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
// take, whoever was sent most since is disconnected, which frees what waits for it. A board that reads comes back and
// goes on where it was.
class SlowReaders {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr const char* topic = "$SYS/broker/heap/current";
  static constexpr ByteCount too_much = ByteCount::mib(512);
  static constexpr std::chrono::seconds pause{3};  // until what was freed shows

  // `heaviest`: the board that was sent most since it was asked last; `disconnect` ends its connection.
  SlowReaders(std::function<std::optional<std::string>()> heaviest, std::function<void(const std::string&)> disconnect)
      : heaviest_(std::move(heaviest)), disconnect_(std::move(disconnect)) {}

  // What the broker says on that topic, bytes. refused, in words for the log, where somebody was disconnected.
  [[nodiscard]] Status on_heap(std::string_view text, Time now);

 private:
  std::function<std::optional<std::string>()> heaviest_;
  std::function<void(const std::string&)> disconnect_;
  std::optional<Time> last_;
};

}  // namespace outcrop::fleet
