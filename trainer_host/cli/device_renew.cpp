#include "trainer_host/cli/device_renew.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/enrol_checks.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/pki/authority.hpp"
#include "trainer_host/pki/device_book.hpp"

namespace outcrop::cli {
namespace {

constexpr std::chrono::milliseconds between_looks_at_renewals{250};

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

// The one that counts at the host; "" where the board is revoked.
Result<std::string> present_certificate(const HostConnection& host, const std::string& device) {
  OUTCROP_TRY(answer, host.get("/v1/devices/" + device + "/certificate"));
  std::string certificate;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    if (!answer.at("revoked").get<bool>()) certificate = answer.at("certificate").get<std::string>();
    return {};
  }));
  return certificate;
}

// Of these boards those that have come by their new certificates: those of before are revoked.
Result<std::vector<std::string>> revoke_replaced(const HostConnection& host, const pki::Authority& authority, const std::vector<std::string>& boards) {
  std::vector<std::string> done;
  for (const std::string& device : boards) {
    auto present = present_certificate(host, device);
    if (!present && present.error().code() == ErrorCode::not_found) continue;  // of another host, or enrolled no more
    if (!present) return fail(std::move(present).error());
    if (present->empty()) continue;
    OUTCROP_TRY(revoked, pki::revoke_replaced(authority, device, *present, SystemClock().now()));
    if (revoked) done.push_back(device);
  }
  if (done.empty()) return done;
  OUTCROP_TRY(list, authority.revocation_list());
  auto told = host.post("/v1/device-authority", {{"authority", authority.certificate()}, {"crl", list}});
  if (!told) return fail(told.error().context("the list of revoked certificates names those that were replaced, but outcropd has not got it (outcrop device publish)"));
  return done;
}

// Those that have come by their new ones, once all that are awaited have, or the time is over: only these are looked at until then.
Result<std::vector<std::string>> revoke_replaced_of(const HostConnection& host, const pki::Authority& authority,
                                                    const std::vector<std::string>& certified, int wait) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(certified.empty() ? 0 : wait);
  std::vector<std::string> done;
  std::vector<std::string> awaited = certified;
  const auto look_at = [&](const std::vector<std::string>& boards) -> Status {
    OUTCROP_TRY(now, revoke_replaced(host, authority, boards));
    done.insert(done.end(), now.begin(), now.end());
    std::erase_if(awaited, [&](const std::string& device) { return std::find(now.begin(), now.end(), device) != now.end(); });
    return {};
  };
  OUTCROP_CHECK(look_at(awaited));
  while (!awaited.empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(between_looks_at_renewals);
    OUTCROP_CHECK(look_at(awaited));
  }
  OUTCROP_TRY(all, pki::boards_with_replacements(authority));
  OUTCROP_CHECK(look_at(all));
  return done;
}

Status certify(const HostConnection& host, const pki::Authority& authority, const Asked& asked) {
  OUTCROP_TRY(key, pki::read_certificate_request(asked.certificate_request));
  OUTCROP_TRY(certificate, pki::device_certificate(authority, asked.device, key));
  OUTCROP_TRY(present, present_certificate(host, asked.device));
  if (!present.empty()) OUTCROP_CHECK(pki::note_replacement(authority, asked.device, present, certificate));
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
  OUTCROP_TRY(replaced, revoke_replaced_of(host, *authority, done, options.wait));
  if (options.json) {
    std::printf("%s\n", json_text(Json{{"certified", done}, {"replaced", replaced}}, 2).c_str());
    return {};
  }
  if (done.empty()) std::printf("No board asks for a certificate.\n");
  if (!done.empty()) std::printf("Certified, and told: %s. Each connects by it, and says so: outcrop fleet audit\n", join(done).c_str());
  if (!replaced.empty()) std::printf("Revoked is what opened the broker to them before: %s.\n", join(replaced).c_str());
  std::erase_if(done, [&](const std::string& device) { return std::find(replaced.begin(), replaced.end(), device) != replaced.end(); });
  if (!done.empty()) std::printf("Not yet come by it: %s. What opens the broker to them now is revoked by the next `outcrop device renew`.\n", join(done).c_str());
  return {};
}

}  // namespace outcrop::cli
