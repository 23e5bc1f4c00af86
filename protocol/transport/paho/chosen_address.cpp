#include "protocol/transport/paho/chosen_address.hpp"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "protocol/transport/name_lookup.hpp"

namespace outcrop::transport {
namespace {

// Never destroyed: Paho's thread may ask while the process ends.
struct Choices {
  std::mutex mutex;
  // Guarded by mutex; the latest counts:
  std::vector<std::pair<std::string, std::string>> addresses;
};

Choices& choices() {
  static auto* const all = new Choices;
  return *all;
}

// "" where none was chosen.
std::string chosen_for(const char* name) {
  const std::lock_guard lock(choices().mutex);
  const auto& all = choices().addresses;
  const auto found = std::find_if(all.rbegin(), all.rend(),
                                  [&](const auto& choice) { return choice.first == name; });
  return found == all.rend() ? std::string() : found->second;
}

// The zone of the link-local address that was chosen; 0 where none was.
std::uint32_t zone_chosen_for(const in6_addr& number) {
  const std::lock_guard lock(choices().mutex);
  const auto& all = choices().addresses;
  for (auto choice = all.rbegin(); choice != all.rend(); ++choice) {
    in6_addr chosen{};
    const std::string without = without_zone(choice->second);
    if (::inet_pton(AF_INET6, without.c_str(), &chosen) != 1) continue;
    if (IN6_ARE_ADDR_EQUAL(&chosen, &number) == 0) continue;
    return zone_of(choice->second).value_or(0);
  }
  return 0;
}

}  // namespace

ChosenAddress::ChosenAddress(std::string name, std::string address)
    : name_(std::move(name)), address_(std::move(address)) {
  const std::lock_guard lock(choices().mutex);
  choices().addresses.emplace_back(name_, address_);
}

ChosenAddress::~ChosenAddress() {
  const std::lock_guard lock(choices().mutex);
  auto& all = choices().addresses;
  const auto mine = std::find(all.begin(), all.end(), std::pair(name_, address_));
  if (mine != all.end()) all.erase(mine);
}

}  // namespace outcrop::transport

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* name,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** found) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  if (next == nullptr) return EAI_FAIL;
  if (name == nullptr || service != nullptr) return next(name, service, hints, found);
  const std::string address = outcrop::transport::chosen_for(name);
  if (address.empty()) return next(name, service, hints, found);
  addrinfo numeric{};
  if (hints != nullptr) numeric = *hints;
  numeric.ai_flags = AI_NUMERICHOST;
  return next(address.c_str(), service, &numeric, found);
}

extern "C" __attribute__((visibility("default"))) int connect(int fd, const sockaddr* address,
                                                              socklen_t length) {
  using Function = int (*)(int, const sockaddr*, socklen_t);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "connect"));
  if (next == nullptr) {
    errno = ENOSYS;
    return -1;
  }
  if (address == nullptr || address->sa_family != AF_INET6 || length < sizeof(sockaddr_in6)) {
    return next(fd, address, length);
  }
  sockaddr_in6 zoned{};
  std::memcpy(&zoned, address, sizeof zoned);
  if (zoned.sin6_scope_id != 0 || !IN6_IS_ADDR_LINKLOCAL(&zoned.sin6_addr)) {
    return next(fd, address, length);
  }
  zoned.sin6_scope_id = outcrop::transport::zone_chosen_for(zoned.sin6_addr);
  return next(fd, reinterpret_cast<const sockaddr*>(&zoned), sizeof zoned);
}
