#pragma once

#include <sys/timex.h>

namespace outcrop {

// Left by systemd-timesyncd below /run once it has set the clock.
inline constexpr const char* timesyncd_mark = "run/systemd/timesync/synchronized";

// Whether the kernel knows how far the clock may be off at most: that grows by itself, up to 16 s, which is what it says where nobody
// keeps the clock. STA_UNSYNC says less: chrony leaves it set where the real-time clock is not the kernel's to write (without `rtcsync`).
[[nodiscard]] bool is_kept(const timex& state);

// Whether somebody keeps this machine's clock right (NTP, chrony, systemd-timesyncd), by the
// kernel's word. Where a unit's system call filter hides that, systemd-timesyncd's mark tells.
[[nodiscard]] bool clock_is_synchronised();

}  // namespace outcrop
