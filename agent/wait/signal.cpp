#include "agent/wait/signal.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace outcrop::agent {
namespace asio = boost::asio;

asio::awaitable<void> Signal::wait(std::stop_token stop) {
  return wait_until(std::chrono::steady_clock::time_point::max(), std::move(stop));
}

asio::awaitable<void> Signal::wait_until(std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  throw_if_cancelled(stop);
  const std::stop_callback wake(stop, [this] { notify(); });
  boost::system::error_code ignored;  // cancelled is what notify() means
  timer_.expires_at(deadline);
  co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  throw_if_cancelled(stop);
}

}  // namespace outcrop::agent
