#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "platform/http/server.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// A request that its caller may send again without having its effect twice: a POST with an Idempotency-Key.
struct Repeatable {
  std::string caller;  // whose key it is: of another it is another
  std::string key;
  trust::Sha256Digest request;  // of all that is asked
};

// None where the request has no such key. invalid_argument where the key is none: 1 to 128 letters, digits and
// -_.:, with or without quotes around it.
[[nodiscard]] Result<std::optional<Repeatable>> repeatable(const std::string& caller, const http::Request& request);

// Answers to such requests, and those that are being answered. On the thread of the registry.
class Once {
 public:
  Once(Registry& registry, const Clock& clock) : registry_(&registry), clock_(&clock) {}

  // While it lives the request is being answered.
  class Place {
   public:
    Place(const Once& once, const Repeatable& request) : under_way_(once.under_way_), name_(request.caller, request.key) {
      under_way_->insert(name_);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { under_way_->erase(name_); }

   private:
    std::shared_ptr<std::set<std::pair<std::string, std::string>>> under_way_;  // a request may end after all else has
    std::pair<std::string, std::string> name_;
  };

  // What to answer without an effect: what was answered before, 422 where the key was another request's, 409 where
  // that is being answered. None: it is to be carried out.
  [[nodiscard]] std::optional<http::Response> answered(const Repeatable& request) const;

  using Effect = std::function<Result<http::Response>()>;
  // Carries it out; the answer is kept in the commit of the effect. What is refused has none, and its key is free again.
  // `undone` is called where that commit fails: of what was changed in memory the database knows nothing.
  [[nodiscard]] Result<http::Response> carry_out(const Repeatable& request, const Effect& effect,
                                                 const std::function<void()>& undone);

 private:
  Registry* registry_;
  const Clock* clock_;
  std::shared_ptr<std::set<std::pair<std::string, std::string>>> under_way_ =
      std::make_shared<std::set<std::pair<std::string, std::string>>>();  // caller and key
};

}  // namespace outcrop::fleet
