#include "trainer_host/fleet/ingest/vouching.hpp"

#include "protocol/trust/certificate.hpp"
#include "trainer_host/fleet/ingest/revocations.hpp"
#include "trainer_host/pki/revocation_list.hpp"

namespace outcrop::fleet {

Result<DeviceAuthority> vouches_for(const std::vector<DeviceAuthority>& authorities,
                                    const std::string& certificate, const std::string& serial) {
  Status last = fail(ErrorCode::refused, "no device authority is known here yet");
  for (const DeviceAuthority& authority : authorities) {
    last = trust::check_issued_by(certificate, authority.certificate);
    if (!last) continue;
    OUTCROP_TRY(list, pki::RevocationList::read(authority.certificate, authority.crl));
    if (!list.names(serial)) return authority;
    return fail(ErrorCode::revoked,
                std::string("the certificate is ") + revoked_by_list + "; make a new key");
  }
  return fail(last.error());
}

}  // namespace outcrop::fleet
