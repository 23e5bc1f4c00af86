#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "protocol/messages/device_message.hpp"

namespace outcrop::fleet {

// What is known of boards since this program started, and stored nowhere. Written by one thread, read by any.
class Presence {
 public:
  void came(const std::string& device) {
    const std::scoped_lock lock(mutex_);
    online_.insert(device);
  }
  void went(const std::string& device) {
    const std::scoped_lock lock(mutex_);
    online_.erase(device);
  }
  void everybody_went() {
    const std::scoped_lock lock(mutex_);
    online_.clear();
  }
  void is_at(const std::string& device, messages::Progress progress) {
    const std::scoped_lock lock(mutex_);
    progress_.insert_or_assign(device, std::move(progress));
  }
  // It said more of this kind ("telemetry") than it may; how often by now.
  std::uint64_t said_too_much(const std::string& device, const std::string& kind) {
    const std::scoped_lock lock(mutex_);
    return ++limited_[device][kind];
  }
  // A message of it was refused as "malformed", "forged", ...; how often by now.
  std::uint64_t was_refused(const std::string& device, const std::string& kind) {
    const std::scoped_lock lock(mutex_);
    return ++refused_[device][kind];
  }
  void forget(const std::string& device) {
    const std::scoped_lock lock(mutex_);
    online_.erase(device);
    progress_.erase(device);
    limited_.erase(device);
    refused_.erase(device);
  }

  [[nodiscard]] bool online(const std::string& device) const {
    const std::scoped_lock lock(mutex_);
    return online_.contains(device);
  }
  [[nodiscard]] std::size_t online_count() const {
    const std::scoped_lock lock(mutex_);
    return online_.size();
  }
  // The newest; none where it said nothing of its work.
  [[nodiscard]] std::optional<messages::Progress> progress(const std::string& device) const {
    const std::scoped_lock lock(mutex_);
    const auto found = progress_.find(device);
    return found == progress_.end() ? std::nullopt : std::optional(found->second);
  }
  // By kind; empty where it says no more than it may.
  [[nodiscard]] std::map<std::string, std::uint64_t> limited(const std::string& device) const { return of(limited_, device); }
  // By kind; empty where all that it says is taken.
  [[nodiscard]] std::map<std::string, std::uint64_t> refused(const std::string& device) const { return of(refused_, device); }

 private:
  using ByKind = std::map<std::string, std::uint64_t>;
  [[nodiscard]] ByKind of(const std::map<std::string, ByKind>& counts, const std::string& device) const {
    const std::scoped_lock lock(mutex_);
    const auto found = counts.find(device);
    return found == counts.end() ? ByKind() : found->second;
  }

  mutable std::mutex mutex_;
  // Guarded by mutex_:
  std::set<std::string> online_;
  std::map<std::string, messages::Progress> progress_;
  std::map<std::string, ByKind> limited_, refused_;
};

}  // namespace outcrop::fleet
