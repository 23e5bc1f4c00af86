#include "protocol/transport/spawn.hpp"

#include <exception>

#include <boost/asio/co_spawn.hpp>

namespace outcrop::transport {

namespace asio = boost::asio;

void spawn(asio::any_io_executor executor, asio::awaitable<void> coroutine) {
  asio::co_spawn(std::move(executor), std::move(coroutine), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

}  // namespace outcrop::transport
