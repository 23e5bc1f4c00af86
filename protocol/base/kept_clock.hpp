#pragma once

namespace outcrop {

// Left by systemd-timesyncd below /run once it has set the clock.
inline constexpr const char* timesyncd_mark = "run/systemd/timesync/synchronized";

// Whether somebody keeps this machine's clock right (NTP, chrony, systemd-timesyncd), by the
// kernel's word. Where a unit's system call filter hides that, systemd-timesyncd's mark tells.
[[nodiscard]] bool clock_is_synchronised();

}  // namespace outcrop
