#pragma once

#include <cstdint>

namespace outcrop::transport {

// Sets TCP_NODELAY on every TCP socket of this process whose other end is this port. Paho neither
// sets it nor tells its socket; a further socket to the same port loses nothing by it.
// Returns how many there were.
int set_no_delay(std::uint16_t peer_port);

}  // namespace outcrop::transport
