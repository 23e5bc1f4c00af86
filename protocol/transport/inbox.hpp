#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/transport/session.hpp"

namespace outcrop::transport {

// What one thread brings and another takes, bounded: a broker that sends faster than it is listened
// to fills neither memory nor the queue of the thread that listens. Any thread.
class Inbox {
 public:
  Inbox(std::size_t most, ByteCount most_bytes) : most_(most), most_bytes_(most_bytes) {}

  // Whether somebody must be told to come and take: nobody is on the way. What finds no room is let
  // go, and counted.
  [[nodiscard]] bool put(Message message);
  // The oldest, `most` at once; nothing left: the next put() says so again.
  [[nodiscard]] std::vector<Message> take(std::size_t most);
  [[nodiscard]] std::uint64_t overflowed() const;

 private:
  const std::size_t most_;
  const ByteCount most_bytes_;
  mutable std::mutex mutex_;
  std::deque<Message> waiting_;
  std::size_t bytes_ = 0;
  bool called_ = false;
  std::uint64_t overflowed_ = 0;
};

}  // namespace outcrop::transport
