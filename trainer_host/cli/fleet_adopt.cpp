#include "trainer_host/cli/fleet_adopt.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {
namespace {

struct AdoptOptions {
  std::filesystem::path host;
  bool json = false;
};

Status run_adopt(const AdoptOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.post("/v1/host/adopt"));
  if (options.json) {
    std::printf("%s\n", json_text(answer, 2).c_str());
  } else {
    std::printf(
        "outcropd goes on from what boards serve: every rollout until now is past, and the next "
        "one decides what they get.\n");
  }
  return {};
}

}  // namespace

void add_adopt(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<AdoptOptions>();
  CLI::App* verb = fleet.add_subcommand(
      "adopt", "Go on after an older backup came back: boards keep what they serve");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "outcropd offers nothing while boards have seen more than its state knows of. First bring\n"
      "it what was signed and revoked since:\n"
      "  outcrop keys publish --dir keys\n  outcrop device publish\n"
      "Example:\n  outcrop fleet adopt");
  verb->callback([options, &chosen] { chosen = [options] { return run_adopt(*options); }; });
}

}  // namespace outcrop::cli
