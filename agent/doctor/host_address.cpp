#include "agent/doctor/host_address.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>

namespace outcrop::agent {
namespace {

using Addresses = std::shared_ptr<addrinfo>;

Result<Addresses> ask(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  addrinfo* list = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (code == EAI_SYSTEM) return fail(ErrorCode::io, std::strerror(errno));
  if (code != 0) return fail(ErrorCode::not_found, ::gai_strerror(code));
  return Addresses(list, ::freeaddrinfo);
}

}  // namespace

Result<Addresses> resolve(const std::string& host, std::uint16_t port,
                          std::chrono::milliseconds patience) {
  // getaddrinfo has no deadline: whoever hangs in it is left behind.
  auto answer = std::make_shared<std::promise<Result<Addresses>>>();
  auto future = answer->get_future();
  std::thread([answer, host, port] { answer->set_value(ask(host, port)); }).detach();
  if (future.wait_for(patience) == std::future_status::ready) return future.get();
  return fail(ErrorCode::timeout, "no name server answers");
}

}  // namespace outcrop::agent
