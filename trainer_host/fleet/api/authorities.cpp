#include <functional>
#include <utility>
#include <vector>

#include "protocol/base/counted.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount removal_limit = ByteCount::kib(16);
constexpr std::size_t longest_removal_reason = 1024;

Result<Json> describe(const std::vector<DeviceAuthority>& authorities, const std::vector<Device>& devices) {
  Json known = Json::array();
  for (const DeviceAuthority& authority : authorities) {
    OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
    known.push_back({{"keyid", info.key.id().hex()},
                     {"name", info.common_name},
                     {"devices", boards_of(devices, authority).size()},
                     {"certificate", authority.certificate}});
  }
  return known;
}

}  // namespace

boost::asio::awaitable<http::Response> Api::authorities() {
  auto all = parts_.registry.authorities();
  if (!all) co_return http::error_response(all.error());
  auto devices = parts_.registry.devices();
  if (!devices) co_return http::error_response(devices.error());
  const auto removed = removed_authorities(parts_.registry);
  if (!removed) co_return http::error_response(removed.error());
  Json gone = Json::array();
  for (const RemovedAuthority& one : *removed) {
    gone.push_back({{"keyid", one.key.hex()}, {"removed", to_rfc3339(one.when)}, {"reason", one.reason}});
  }
  std::function<Result<Json>()> work = [all = std::move(*all), devices = std::move(*devices)] { return describe(all, devices); };
  const auto known = co_await on_worker<Result<Json>>(parts_.worker, std::move(work));
  if (!known) co_return http::error_response(known.error());
  co_return respond({{"authorities", *known}, {"removed", std::move(gone)}});
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
    OUTCROP_TRY(devices, parts_.registry.devices());
    const auto boards = boards_of(devices, authority);
    if (!boards.empty() && !revoke) {
      return fail(ErrorCode::refused, counted(boards.size(), "board is", "boards are") + " enrolled by this authority (" + boards.front() +
                                          (boards.size() > 1 ? ", …" : "") + "): say that they are revoked with it (--revoke-devices)");
    }
    OUTCROP_CHECK(fleet::remove_authority(parts_.registry, authority, {info.key.id(), parts_.clock.now(), reason}, boards));
    for (const std::string& name : boards) {
      parts_.ingest.forget(name);
      view_.changed(name);
    }
    OUTCROP_CHECK(parts_.broker.distrust_devices(info.key.id()));
    if (!boards.empty()) parts_.driver.tick();
    return respond({{"keyid", keyid}, {"revoked", boards}, {"disconnected", parts_.broker.ours}});
  }
  OUTCROP_TRY(removed, removed_authorities(parts_.registry));
  for (const RemovedAuthority& one : removed) {
    if (one.key.hex() != keyid) continue;
    return fail(ErrorCode::refused, "this device authority was removed already on " + to_rfc3339(one.when) + ": " + one.reason);
  }
  return fail(ErrorCode::not_found, "no device authority has the key id " + keyid + " here");
}

}  // namespace outcrop::fleet
