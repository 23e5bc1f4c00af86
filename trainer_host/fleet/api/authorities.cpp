#include <functional>
#include <memory>
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

struct Removal {
  std::string reason;
  bool revoke = false;  // the boards with it
};

Status read_removal(const std::string& body, Removal& removal) {
  OUTCROP_TRY(json, messages::parse_object(body, removal_limit, "removal"));
  ObjectReader reader(json, "removal");
  removal.reason = reader.text("reason", longest_removal_reason);
  removal.revoke = reader.boolean("revoke_devices");
  reader.done();
  return reader.status();
}

Result<DeviceAuthority> find_authority(Registry& registry, const std::string& keyid) {
  OUTCROP_TRY(all, registry.authorities());
  for (DeviceAuthority& authority : all) {
    OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
    if (info.key.id().hex() == keyid) return std::move(authority);
  }
  OUTCROP_TRY(removed, removed_authorities(registry));
  for (const RemovedAuthority& one : removed) {
    if (one.key.hex() != keyid) continue;
    return fail(ErrorCode::refused, "this device authority was removed already on " + to_rfc3339(one.when) + ": " + one.reason);
  }
  return fail(ErrorCode::not_found, "no device authority has the key id " + keyid + " here");
}

}  // namespace

Result<http::Response> Api::authority_of(Registry& registry, const std::string& keyid) {
  OUTCROP_TRY(found, find_authority(registry, keyid));
  OUTCROP_TRY(info, trust::read_certificate(found.certificate));
  return respond({{"keyid", keyid}, {"name", info.common_name}, {"certificate", found.certificate}, {"crl", found.crl}});
}

boost::asio::awaitable<http::Response> Api::authorities() {
  std::function<Result<http::Response>()> work = [file = parts_.database]() -> Result<http::Response> {
    OUTCROP_TRY(reader, read_sqlite_registry(file));
    OUTCROP_TRY(all, reader->authorities());
    OUTCROP_TRY(devices, reader->devices());
    OUTCROP_TRY(known, describe(all, devices));
    OUTCROP_TRY(removed, removed_authorities(*reader));
    Json gone = Json::array();
    for (const RemovedAuthority& one : removed) {
      gone.push_back({{"keyid", one.key.hex()}, {"removed", to_rfc3339(one.when)}, {"reason", one.reason}});
    }
    return respond({{"authorities", std::move(known)}, {"removed", std::move(gone)}});
  };
  auto answer = co_await on_worker<Result<http::Response>>(parts_.worker, std::move(work));
  co_return answer ? std::move(*answer) : http::error_response(answer.error());
}

Status Api::check_not_leaving(const DeviceAuthority& authority) const {
  OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
  if (!leaving_.contains(info.key.id())) return {};
  return fail(ErrorCode::refused, "this device authority is being removed: enrol boards by another");
}

// Whose boards they are tells a signature of each, by a worker. Until that is known nobody is enrolled by the authority, so that
// those who go with it are all that it has.
boost::asio::awaitable<http::Response> Api::remove_authority(std::string keyid, std::string body, std::optional<Repeatable> repeatable) {
  Removal removal;
  if (const Status read = read_removal(body, removal); !read) co_return http::error_response(read.error());
  const auto authority = find_authority(parts_.registry, keyid);
  if (!authority) co_return http::error_response(authority.error());
  const trust::KeyId key = trust::read_certificate(authority->certificate)->key.id();
  if (!leaving_.insert(key).second) {
    co_return http::error_response(Error(ErrorCode::refused, "this device authority is being removed already"));
  }
  const auto left = std::shared_ptr<void>(nullptr, [this, key](void*) { leaving_.erase(key); });
  std::function<Result<std::vector<Device>>()> work = [file = parts_.database, authority = *authority]() -> Result<std::vector<Device>> {
    OUTCROP_TRY(reader, read_sqlite_registry(file));
    OUTCROP_TRY(devices, reader->devices());
    return boards_of(std::move(devices), authority);
  };
  const auto boards = co_await on_worker<Result<std::vector<Device>>>(parts_.worker, std::move(work));
  if (!boards) co_return http::error_response(boards.error());
  auto done = in_one_commit(repeatable, [&] { return remove_with(*authority, {key, parts_.clock.now(), removal.reason}, *boards, removal.revoke); });
  co_return done ? std::move(*done) : http::error_response(done.error());
}

Result<http::Response> Api::remove_with(const DeviceAuthority& authority, const RemovedAuthority& removed, const std::vector<Device>& boards,
                                        bool revoke) {
  std::vector<std::string> names;
  for (const Device& board : boards) {
    OUTCROP_TRY(now, parts_.registry.device(board.name));
    // Whoever has its name by now may be another's.
    if (now && !now->revoked && now->certificate == board.certificate) names.push_back(board.name);
  }
  if (!names.empty() && !revoke) {
    return fail(ErrorCode::refused, counted(names.size(), "board is", "boards are") + " enrolled by this authority (" + names.front() +
                                        (names.size() > 1 ? ", …" : "") + "): say that they are revoked with it (--revoke-devices)");
  }
  OUTCROP_CHECK(fleet::remove_authority(parts_.registry, authority, removed, names));
  for (const std::string& name : names) {
    parts_.ingest.forget(name);
    board_changed(name);
  }
  OUTCROP_CHECK(parts_.broker.distrust_devices(removed.key));
  if (!names.empty()) parts_.driver.tick();
  return respond({{"keyid", removed.key.hex()}, {"revoked", names}, {"disconnected", parts_.broker.ours}});
}

}  // namespace outcrop::fleet
