#pragma once

#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "protocol/transport/session.hpp"

namespace outcrop::transport {

// A session by Paho MQTT C++ whose handlers and completions run on `executor` (one thread at a
// time: an io_context with one thread, or a strand). Paho's threads only post to it. TCP_NODELAY is
// set after each connect: Paho 1.3.12 never does, and small windows then stall 40 ms a round trip.
[[nodiscard]] std::unique_ptr<Session> make_paho_session(boost::asio::any_io_executor executor,
                                                         SessionOptions options);

}  // namespace outcrop::transport
