#include "protocol/transport/awaitable.hpp"

#include <memory>

namespace outcrop::transport {
namespace {

namespace asio = boost::asio;

// Completion is a std::function and must be copyable; Asio's handlers only move.
template <class Handler>
auto shared(Handler handler) {
  return std::make_shared<Handler>(std::move(handler));
}

}  // namespace

asio::awaitable<Status> publish(Session& session, Message message, Delivery delivery) {
  auto initiate = [](auto handler, Session* to, Message what, Delivery how) {
    to->publish(std::move(what), how, [kept = shared(std::move(handler))](Status status) {
      std::move (*kept)(std::move(status));
    });
  };
  Status status = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Status)>(
      initiate, asio::use_awaitable, &session, std::move(message), delivery);
  co_return status;
}

asio::awaitable<Status> subscribe(Session& session, std::string filter, Delivery delivery) {
  auto initiate = [](auto handler, Session* to, std::string what, Delivery how) {
    to->subscribe(std::move(what), how, [kept = shared(std::move(handler))](Status status) {
      std::move (*kept)(std::move(status));
    });
  };
  Status status = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Status)>(
      initiate, asio::use_awaitable, &session, std::move(filter), delivery);
  co_return status;
}

asio::awaitable<void> stop(Session& session) {
  auto initiate = [](auto handler, Session* which) {
    which->stop([kept = shared(std::move(handler))] { std::move (*kept)(); });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      initiate, asio::use_awaitable, &session);
}

}  // namespace outcrop::transport
