#include "protocol/transport/name_lookup.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>

#include <boost/asio/post.hpp>

namespace outcrop::transport {
namespace {

namespace asio = boost::asio;

std::string number_of(const addrinfo& address) {
  std::array<char, NI_MAXHOST> text{};
  const bool good = ::getnameinfo(address.ai_addr, address.ai_addrlen, text.data(), text.size(),
                                  nullptr, 0, NI_NUMERICHOST) == 0;
  return good ? text.data() : "";
}

// For as long as it takes.
Result<Addresses> ask_the_resolver(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  addrinfo* list = nullptr;
  // With a service: chosen_address.cpp answers Paho's questions, which have none, by what was
  // found here.
  const int code = ::getaddrinfo(host.c_str(), "0", &hints, &list);
  if (code == EAI_SYSTEM) return fail(ErrorCode::io, std::strerror(errno));
  if (code != 0) return fail(ErrorCode::not_found, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(list, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* next = list; next != nullptr; next = next->ai_next) {
    std::string number = number_of(*next);
    if (!number.empty() && std::find(addresses.begin(), addresses.end(), number) == addresses.end()) {
      addresses.push_back(std::move(number));
    }
  }
  if (addresses.empty()) return fail(ErrorCode::not_found, "it has no address");
  return addresses;
}

}  // namespace

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

// The thread may come back when executor and asker are long gone.
struct NameLookup::Shared {
  std::mutex mutex;
  // Guarded by mutex:
  std::function<void(Result<Addresses>)> answer;  // none: nobody asks any more
};

bool NameLookup::is_asked(const std::weak_ptr<Shared>& asked) {
  const auto shared = asked.lock();
  if (!shared) return false;
  const std::lock_guard lock(shared->mutex);
  return shared->answer != nullptr;
}

NameLookup::NameLookup(asio::any_io_executor executor, const std::string& host,
                       std::function<void(Result<Addresses>)> done)
    : shared_(std::make_shared<Shared>()) {
  const std::weak_ptr<Shared> asked = shared_;
  shared_->answer = [executor = std::move(executor), asked,
                     done = std::move(done)](Result<Addresses> found) {
    asio::post(executor, [asked, done, found = std::move(found)]() mutable {
      if (is_asked(asked)) done(std::move(found));
    });
  };
  if (is_address(host)) {
    shared_->answer(Addresses{host});
    return;
  }
  std::thread([shared = shared_, host] {
    auto found = ask_the_resolver(host);
    const std::lock_guard lock(shared->mutex);
    if (shared->answer) shared->answer(std::move(found));
  }).detach();
}

NameLookup::~NameLookup() {
  const std::lock_guard lock(shared_->mutex);
  shared_->answer = nullptr;
}

Result<Addresses> look_up(const std::string& host, std::chrono::milliseconds patience) {
  if (is_address(host)) return Addresses{host};
  auto answer = std::make_shared<std::promise<Result<Addresses>>>();
  auto future = answer->get_future();
  std::thread([answer, host] { answer->set_value(ask_the_resolver(host)); }).detach();
  if (future.wait_for(patience) == std::future_status::ready) return future.get();
  return fail(ErrorCode::timeout, "no name server answers");
}

}  // namespace outcrop::transport
