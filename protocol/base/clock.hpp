#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop {

// Wall-clock time to the second: what signed metadata and reports carry.
using Timestamp = std::chrono::sys_seconds;

// The source of time, an interface so that tests can set it.
// Implementations may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Timestamp now() const = 0;
};

// The machine's clock. SOURCE_DATE_EPOCH is not honoured: a release says when it was made.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override;
};

// RFC 3339 in UTC to the second, "2026-11-21T08:00:00Z": the only form we write or accept.
[[nodiscard]] std::string to_rfc3339(Timestamp time);
[[nodiscard]] Result<Timestamp> from_rfc3339(std::string_view text);

}  // namespace outcrop
