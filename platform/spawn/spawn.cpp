#include "platform/spawn/spawn.hpp"

#include <exception>

#include <boost/asio/co_spawn.hpp>

namespace outcrop::platform {

namespace asio = boost::asio;

void spawn(asio::any_io_executor executor, asio::awaitable<void> coroutine) {
  asio::co_spawn(std::move(executor), std::move(coroutine), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

}  // namespace outcrop::platform
