#include "trainer_host/fleet/ingest/revocations.hpp"

#include <spdlog/spdlog.h>

#include "protocol/trust/certificate.hpp"
#include "trainer_host/pki/revocation_list.hpp"

namespace outcrop::fleet {

Result<std::vector<std::string>> revoke_listed(Registry& registry, const DeviceAuthority& authority,
                                               Timestamp now) {
  OUTCROP_TRY(list, pki::RevocationList::read(authority.certificate, authority.crl));
  OUTCROP_TRY(devices, registry.devices());
  std::vector<std::string> revoked;
  OUTCROP_CHECK(registry.transaction([&]() -> Status {
    for (const Device& device : devices) {
      if (device.revoked) continue;
      const auto certificate = trust::read_certificate(device.certificate);
      if (!certificate || !list.names(certificate->serial) ||
          !trust::check_issued_by(device.certificate, authority.certificate)) {
        continue;
      }
      OUTCROP_TRY(changed, registry.revoke(device.name, now, revoked_by_list, ""));
      if (changed) revoked.push_back(device.name);
    }
    return {};
  }));
  for (const std::string& name : revoked) spdlog::warn("{} is revoked: {}", name, revoked_by_list);
  return revoked;
}

}  // namespace outcrop::fleet
