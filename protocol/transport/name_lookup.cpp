#include "protocol/transport/name_lookup.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>

#include <boost/asio/post.hpp>

namespace outcrop::transport {
namespace {

namespace asio = boost::asio;

bool is_ipv6(const std::string& number) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET6, number.c_str(), bytes.data()) == 1;
}

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

std::string without_zone(const std::string& host) {
  std::string number = host.substr(0, host.find('%'));
  return is_ipv6(number) ? number : host;
}

Result<std::uint32_t> zone_of(const std::string& host) {
  const std::string number = without_zone(host);
  if (number.size() == host.size()) return std::uint32_t{0};
  const std::string zone = host.substr(number.size() + 1);
  if (const unsigned index = ::if_nametoindex(zone.c_str()); index != 0) return index;
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(zone.data(), zone.data() + zone.size(), index);
  if (error == std::errc() && end == zone.data() + zone.size() && index != 0) return index;
  return fail(ErrorCode::not_found,
              "this machine has no network interface '" + zone + "' (of the address " + host + ")");
}

bool is_address(const std::string& host) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 || is_ipv6(without_zone(host));
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
