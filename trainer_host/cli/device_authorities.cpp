#include "trainer_host/cli/device_authorities.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/counted.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/whole_id.hpp"

namespace outcrop::cli {
namespace {

struct AuthorityOptions {
  std::string keyid;
  std::string reason;
  bool revoke_devices = false;
  std::filesystem::path host;
  bool json = false;
};

Status run_authorities(const AuthorityOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.get("/v1/device-authorities"));
  if (options.json) {
    print_json(answer);
    return {};
  }
  return reading_answers([&]() -> Status {
    for (const Json& one : answer.at("authorities")) {
      std::printf("%s  %s, vouches for %s\n", one.at("keyid").get<std::string>().c_str(),
                  one.at("name").get<std::string>().c_str(), counted(one.at("devices").get<std::uint64_t>(), "board").c_str());
    }
    for (const Json& one : answer.at("removed")) {
      std::printf("%s  removed on %s: %s\n", one.at("keyid").get<std::string>().c_str(),
                  one.at("removed").get<std::string>().c_str(), one.at("reason").get<std::string>().c_str());
    }
    return {};
  });
}

// Also one that is gone: outcropd says since when.
Result<std::string> named_authority(const HostConnection& host, const std::string& start) {
  OUTCROP_TRY(answer, host.get("/v1/device-authorities"));
  std::vector<std::string> all;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    for (const char* list : {"authorities", "removed"}) {
      for (const Json& one : answer.at(list)) all.push_back(one.at("keyid").get<std::string>());
    }
    return {};
  }));
  return whole_id(start, all, "a key id that outcrop device authorities prints");
}

Status run_remove_authority(const AuthorityOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(keyid, named_authority(host, options.keyid));
  OUTCROP_TRY(answer, host.post("/v1/device-authorities/" + keyid + "/remove",
                                {{"reason", options.reason}, {"revoke_devices", options.revoke_devices}}));
  if (options.json) {
    print_json(answer);
    return {};
  }
  return reading_answers([&]() -> Status {
    const auto& revoked = answer.at("revoked");
    std::printf("Removed. %s revoked with it", counted(revoked.size(), "board was", "boards were").c_str());
    if (answer.at("disconnected").get<bool>()) {
      std::printf(" and disconnected.\n");
    } else {
      std::printf(": outcropd takes nothing from them any more. Take the authority from your own broker's, too.\n");
    }
    if (!revoked.empty()) std::printf("Enrol them anew by another authority: outcrop device enroll --authority FOLDER\n");
    return {};
  });
}

}  // namespace

void add_device_authorities(CLI::App& device, Action& chosen) {
  auto listed = std::make_shared<AuthorityOptions>();
  CLI::App* list = device.add_subcommand("authorities", "Who vouches for boards: device authorities, also those that were removed");
  add_host_option(*list, listed->host);
  list->add_flag("--json", listed->json, "Print what outcropd says, in JSON");
  list->footer("Example:\n  outcrop device authorities");
  list->callback([listed, &chosen] { chosen = [listed] { return run_authorities(*listed); }; });

  auto options = std::make_shared<AuthorityOptions>();
  CLI::App* remove = device.add_subcommand("remove-authority", "Let the boards of a device authority in no more, for good: after it was stolen");
  remove->add_option("keyid", options->keyid, "Key id, as outcrop device authorities prints it; its first digits, where they are only its own")->required();
  remove->add_option("--reason", options->reason, "Why: kept with it")->required();
  remove->add_flag("--revoke-devices", options->revoke_devices, "Also where boards are enrolled by it: they are revoked and disconnected");
  add_host_option(*remove, options->host);
  remove->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  remove->footer("Example:\n  outcrop device remove-authority 4f2a8c --reason stolen --revoke-devices");
  remove->callback([options, &chosen] { chosen = [options] { return run_remove_authority(*options); }; });
}

}  // namespace outcrop::cli
