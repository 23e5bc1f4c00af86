#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount removal_limit = ByteCount::kib(16);
constexpr std::size_t longest_removal_reason = 1024;

}  // namespace

Result<http::Response> Api::authorities() {
  Json known = Json::array();
  OUTCROP_TRY(all, parts_.registry.authorities());
  for (const DeviceAuthority& authority : all) {
    OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
    OUTCROP_TRY(boards, boards_of(parts_.registry, authority));
    known.push_back({{"keyid", info.key.id().hex()},
                     {"name", info.common_name},
                     {"devices", boards.size()},
                     {"certificate", authority.certificate}});
  }
  Json gone = Json::array();
  OUTCROP_TRY(removed, removed_authorities(parts_.registry));
  for (const RemovedAuthority& one : removed) {
    gone.push_back({{"keyid", one.key.hex()}, {"removed", to_rfc3339(one.when)}, {"reason", one.reason}});
  }
  return respond({{"authorities", std::move(known)}, {"removed", std::move(gone)}});
}

Result<http::Response> Api::remove_authority(const std::string& keyid, const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, removal_limit, "removal"));
  ObjectReader reader(json, "removal");
  const std::string reason = reader.text("reason", longest_removal_reason);
  const bool revoke = reader.boolean("revoke_devices");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(all, parts_.registry.authorities());
  for (const DeviceAuthority& authority : all) {
    OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
    if (info.key.id().hex() != keyid) continue;
    OUTCROP_TRY(boards, boards_of(parts_.registry, authority));
    if (!boards.empty() && !revoke) {
      return fail(ErrorCode::refused, std::to_string(boards.size()) + " boards are enrolled by this authority (" + boards.front() +
                                          (boards.size() > 1 ? ", …" : "") + "): say that they are revoked with it");
    }
    OUTCROP_TRY(revoked, fleet::remove_authority(parts_.registry, authority, {info.key.id(), parts_.clock.now(), reason}));
    for (const std::string& name : revoked) {
      parts_.ingest.forget(name);
      view_.changed(name);
    }
    OUTCROP_CHECK(parts_.broker.distrust_devices(info.key.id()));
    if (!revoked.empty()) parts_.driver.tick();
    return respond({{"keyid", keyid}, {"revoked", revoked}, {"disconnected", parts_.broker.ours}});
  }
  return fail(ErrorCode::not_found, "no device authority has the key id " + keyid + " here");
}

}  // namespace outcrop::fleet
