#include "trainer_host/cli/device_publish.hpp"

#include <cstdio>

#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::cli {

Status run_device_publish(const DevicePublishOptions& options) {
  auto authority = pki::Authority::open(options.authority);
  if (!authority) {
    return fail(authority.error().context(
        "the authority that enrolled the boards (--authority or OUTCROP_DEVICE_AUTHORITY)"));
  }
  OUTCROP_TRY(list, authority->revocation_list());
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.post("/v1/device-authority",
                                {{"authority", authority->certificate()}, {"crl", list}}));
  if (options.json) {
    std::printf("%s\n", json_text(answer, 2).c_str());
  } else {
    std::printf("outcropd lets in the boards of %s, but for those that it has revoked.\n",
                options.authority.c_str());
  }
  return {};
}

}  // namespace outcrop::cli
