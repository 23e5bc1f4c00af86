#pragma once

#include <atomic>
#include <cstdint>

namespace outcrop::fleet {

// A number that one thread raises and any reads. A copy is as it was at that moment.
class Count {
 public:
  Count(std::uint64_t value = 0) : value_(value) {}  // NOLINT(google-explicit-constructor): it is a number
  Count(const Count& other) : value_(other) {}
  Count& operator=(const Count& other) {
    value_.store(other, std::memory_order_relaxed);
    return *this;
  }
  operator std::uint64_t() const { return value_.load(std::memory_order_relaxed); }  // NOLINT(google-explicit-constructor)
  std::uint64_t operator++() { return value_.fetch_add(1, std::memory_order_relaxed) + 1; }

 private:
  std::atomic<std::uint64_t> value_;
};

}  // namespace outcrop::fleet
