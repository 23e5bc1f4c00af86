#include "trainer_host/fleet/ingest/removed_authorities.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/trust/certificate.hpp"

namespace outcrop::fleet {
namespace {

using nlohmann::json;

constexpr const char* note_of_removed = "removed-authorities";

}  // namespace

Result<std::vector<RemovedAuthority>> removed_authorities(Registry& registry) {
  std::vector<RemovedAuthority> all;
  OUTCROP_TRY(note, registry.note(note_of_removed));
  if (!note) return all;
  try {
    for (const json& entry : json::parse(*note)) {
      OUTCROP_TRY(key, trust::KeyId::from_hex(entry.at("keyid").get<std::string>()));
      OUTCROP_TRY(when, from_rfc3339(entry.at("time").get<std::string>()));
      all.push_back({key, when, entry.at("reason").get<std::string>()});
    }
  } catch (const json::exception& error) {
    return fail(ErrorCode::invalid_data, "the registry's list of removed device authorities: " + std::string(error.what()));
  }
  return all;
}

Status check_not_removed(Registry& registry, const DeviceAuthority& authority) {
  OUTCROP_TRY(info, trust::read_certificate(authority.certificate));
  OUTCROP_TRY(all, removed_authorities(registry));
  for (const RemovedAuthority& removed : all) {
    if (removed.key != info.key.id()) continue;
    return fail(ErrorCode::revoked, "this device authority was removed on " + to_rfc3339(removed.when) + ": " + removed.reason +
                                        "; enrol boards by another (outcrop device enroll --authority FOLDER makes it)");
  }
  return {};
}

std::vector<Device> boards_of(std::vector<Device> devices, const DeviceAuthority& authority) {
  std::erase_if(devices, [&](const Device& device) {
    return device.revoked || !trust::check_issued_by(device.certificate, authority.certificate);
  });
  return devices;
}

Status remove_authority(Registry& registry, const DeviceAuthority& authority, const RemovedAuthority& removed,
                        const std::vector<std::string>& boards) {
  return registry.transaction([&]() -> Status {
    for (const std::string& name : boards) {
      OUTCROP_CHECK(registry.revoke(name, removed.when, "its device authority was removed: " + removed.reason, ""));
    }
    OUTCROP_TRY(all, removed_authorities(registry));
    all.push_back(removed);
    json list = json::array();
    for (const RemovedAuthority& one : all) {
      list.push_back({{"keyid", one.key.hex()}, {"time", to_rfc3339(one.when)}, {"reason", one.reason}});
    }
    OUTCROP_CHECK(registry.save_note(note_of_removed, json_text(list)));
    return registry.remove(authority);
  });
}

}  // namespace outcrop::fleet
