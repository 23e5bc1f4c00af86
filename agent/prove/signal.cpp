#include "agent/prove/signal.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace outcrop::agent {
namespace asio = boost::asio;

asio::awaitable<void> Signal::wait() {
  return wait_until(std::chrono::steady_clock::time_point::max());
}

asio::awaitable<void> Signal::wait_until(std::chrono::steady_clock::time_point deadline) {
  boost::system::error_code ignored;  // cancelled is what notify() means
  timer_.expires_at(deadline);
  co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace outcrop::agent
