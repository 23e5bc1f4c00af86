#include "tests/support/scripted_resolver.hpp"

#include <dlfcn.h>
#include <netdb.h>
#include <unistd.h>

#include <map>
#include <mutex>

namespace outcrop {
namespace {

struct Script {
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> answers;
  std::map<std::string, int> questions;
};

// Never destroyed: threads that wait for an answer outlive the test.
Script& script() {
  static auto* const one = new Script;
  return *one;
}

}  // namespace

void script_resolver(const std::string& name, const std::vector<std::string>& addresses) {
  const std::lock_guard lock(script().mutex);
  script().answers[name] = addresses;
}

int questions_for(const std::string& name) {
  const std::lock_guard lock(script().mutex);
  return script().questions[name];
}

}  // namespace outcrop

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* name,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** found) {
  using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  std::vector<std::string> answers;
  {
    const std::lock_guard lock(outcrop::script().mutex);
    const auto scripted = outcrop::script().answers.find(name == nullptr ? "" : name);
    if (scripted == outcrop::script().answers.end()) return next(name, service, hints, found);
    ++outcrop::script().questions[name];
    answers = scripted->second;
  }
  while (answers.empty()) ::pause();
  addrinfo numeric{};
  if (hints != nullptr) numeric = *hints;
  numeric.ai_flags = AI_NUMERICHOST;
  // Each list is freed with the one it is linked to.
  addrinfo** end = found;
  for (const std::string& address : answers) {
    if (const int code = next(address.c_str(), service, &numeric, end); code != 0) return code;
    while (*end != nullptr) end = &(*end)->ai_next;
  }
  return 0;
}
