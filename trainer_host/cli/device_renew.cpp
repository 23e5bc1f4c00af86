#include "trainer_host/cli/device_renew.hpp"

#include <algorithm>
#include <cstdio>

#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/enrol_checks.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/pki/device_book.hpp"

namespace outcrop::cli {
namespace {

struct Asked {
  std::string device;
  std::string certificate_request;
};

Result<std::vector<Asked>> who_asks(const HostConnection& host, const std::vector<std::string>& names) {
  OUTCROP_TRY(answer, host.get("/v1/renewals"));
  std::vector<Asked> all;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    for (const Json& one : answer.at("renewals")) {
      Asked asked{one.at("device").get<std::string>(), one.at("certificate_request").get<std::string>()};
      if (names.empty() || std::find(names.begin(), names.end(), asked.device) != names.end()) all.push_back(std::move(asked));
    }
    return {};
  }));
  for (const std::string& name : names) {
    const bool asks = std::any_of(all.begin(), all.end(), [&](const Asked& asked) { return asked.device == name; });
    if (!asks) return fail(ErrorCode::not_found, "'" + name + "' asks for no certificate; on it: outcrop-agent enroll renew");
  }
  return all;
}

Status certify(const HostConnection& host, const pki::Authority& authority, const Asked& asked) {
  OUTCROP_TRY(key, pki::read_certificate_request(asked.certificate_request));
  OUTCROP_TRY(certificate, pki::device_certificate(authority, asked.device, key));
  OUTCROP_TRY(told, host.post("/v1/devices/" + asked.device + "/certificate", {{"certificate", certificate}}));
  return {};
}

}  // namespace

Status run_device_renew(const DeviceRenewOptions& options) {
  auto authority = pki::Authority::open(options.authority);
  if (!authority) {
    return fail(authority.error().context("the authority that enrolled the boards (--authority or OUTCROP_DEVICE_AUTHORITY)"));
  }
  const HostConnection host(options.host);
  OUTCROP_CHECK(check_authority_counts(host, *authority));
  OUTCROP_TRY(all, who_asks(host, options.names));
  std::vector<std::string> done;
  for (const Asked& asked : all) {
    if (const Status certified = certify(host, *authority, asked); !certified) {
      return fail(certified.error().context(asked.device + (done.empty() ? "" : ", after " + join(done))));
    }
    done.push_back(asked.device);
  }
  if (options.json) {
    std::printf("%s\n", json_text(Json{{"certified", done}}, 2).c_str());
  } else if (done.empty()) {
    std::printf("No board asks for a certificate.\n");
  } else {
    std::printf("Certified, and told: %s. Each connects by it, and says so: outcrop fleet audit\n", join(done).c_str());
  }
  return {};
}

}  // namespace outcrop::cli
