#pragma once

#include <utility>  // before Asio

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace outcrop::fleet {

// Runs `work` on another executor and comes back to the coroutine's own with what it returned.
template <class T>
boost::asio::awaitable<T> on_executor(boost::asio::any_io_executor there, std::function<T()> work) {
  namespace asio = boost::asio;
  auto initiate = [&there, &work](auto handler) {
    // Shared, since Asio's functions must be copyable here and a coroutine's handler is not.
    auto held = std::make_shared<decltype(handler)>(std::move(handler));
    auto back = asio::get_associated_executor(*held);
    asio::post(there, [held, back, work = std::move(work)]() mutable {
      asio::post(back, [held, result = work()]() mutable { (*held)(std::move(result)); });
    });
  };
  T result = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(
      initiate, asio::use_awaitable);
  co_return result;
}

template <class T>
boost::asio::awaitable<T> on_worker(boost::asio::thread_pool& pool, std::function<T()> work) {
  return on_executor<T>(pool.get_executor(), std::move(work));
}

}  // namespace outcrop::fleet
