#include "protocol/transport/paho/chosen_address.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

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
