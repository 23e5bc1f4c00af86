#pragma once

#include <utility>  // before Asio: Boost 1.74's coroutines need std::exchange

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/transport/session.hpp"

namespace outcrop::transport {

// The session's operations for coroutines on its executor: `co_await publish(session, ...)`.

[[nodiscard]] boost::asio::awaitable<Status> publish(Session& session, Message message,
                                                     Delivery delivery);
[[nodiscard]] boost::asio::awaitable<Status> subscribe(Session& session, std::string filter,
                                                       Delivery delivery);
[[nodiscard]] boost::asio::awaitable<void> stop(Session& session);

}  // namespace outcrop::transport
