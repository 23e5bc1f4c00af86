#pragma once

#include <utility>  // before Asio

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace outcrop::platform {

// Runs a coroutine that nobody waits for. What it throws is a defect, and it leaves the loop and
// with it the program, which says it and is started again: asio::detached would drop it in silence,
// and whatever the coroutine did would not be done any more.
void spawn(boost::asio::any_io_executor executor, boost::asio::awaitable<void> coroutine);

}  // namespace outcrop::platform
