#include "protocol/transport/inbox.hpp"

#include <utility>

namespace outcrop::transport {
namespace {

std::size_t size_of(const Message& message) {
  return message.topic.size() + message.payload.size();
}

}  // namespace

bool Inbox::put(Message message) {
  const std::lock_guard lock(mutex_);
  const std::size_t size = size_of(message);
  if (waiting_.size() >= most_ || bytes_ + size > most_bytes_.value()) {
    ++overflowed_;
    return false;  // somebody is on the way: it is full
  }
  bytes_ += size;
  waiting_.push_back(std::move(message));
  return !std::exchange(called_, true);
}

std::vector<Message> Inbox::take(std::size_t most) {
  const std::lock_guard lock(mutex_);
  std::vector<Message> taken;
  while (!waiting_.empty() && taken.size() < most) {
    bytes_ -= size_of(waiting_.front());
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  if (taken.empty()) called_ = false;
  return taken;
}

std::uint64_t Inbox::overflowed() const {
  const std::lock_guard lock(mutex_);
  return overflowed_;
}

}  // namespace outcrop::transport
