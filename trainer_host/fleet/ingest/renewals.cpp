#include "trainer_host/fleet/ingest/renewals.hpp"

#include <spdlog/spdlog.h>

namespace outcrop::fleet {

// The same key again is the same question.
void Renewals::asked(const std::string& device, const std::string& certificate_request, Timestamp now) {
  const auto found = asked_.find(device);
  if (found != asked_.end() && found->second.certificate_request == certificate_request) return;
  asked_.insert_or_assign(device, Asked{certificate_request, now});
  spdlog::info("'{}' asks for a certificate of its next key: outcrop device renew", device);
}

}  // namespace outcrop::fleet
