#include "trainer_host/cli/fleet_layers.hpp"

#include <cstdio>
#include <memory>

#include "platform/http/client.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/layers_output.hpp"
#include "trainer_host/cli/published_release.hpp"

namespace outcrop::cli {
namespace {

struct LayersOptions {
  std::filesystem::path host;
  std::string release, device_class;
  bool json = false;
};

Status run_layers(const LayersOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(release, find_release(host, options.release));
  const std::string manifest = release.at("manifest").get<std::string>();
  OUTCROP_TRY(answer, host.get("/v1/releases/" + manifest + "/layers?class=" + http::encode(options.device_class)));
  // As it came: a file of it is what `outcrop quantize --costs` reads.
  const std::string text = json_text(answer);
  if (options.json) {
    std::printf("%s\n", text.c_str());
    return {};
  }
  OUTCROP_TRY(layers, messages::parse_layers(as_bytes(text)));
  std::fputs(layers_tables(layers, view_of_standard_output()).c_str(), stdout);
  return {};
}

}  // namespace

void add_fleet_layers(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<LayersOptions>();
  CLI::App* verb = fleet.add_subcommand("layers", "Show what a release spends a call on, by boards of a class");
  verb->add_option("release", options->release, "Start of its manifest's digest, or its folder")->required();
  verb->add_option("--class", options->device_class, "Of which class of boards")->required();
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print each operator in order, as the board told it");
  verb->footer(
      "`outcrop fleet measure BOARD --layers` asks for it: the board times the operators of every variant that lies on it (a\n"
      "canary has them all), by the rules of any measurement. The newest that a board of the class told is kept.\n"
      "Examples:\n  outcrop fleet layers 4f2a91 --class raspberry-pi-4\n"
      "  outcrop fleet layers 4f2a91 --class raspberry-pi-4 --json > pi4.json\n"
      "Then: outcrop quantize net.pt out --method mixed --costs pi4.json --budget-ms 12 --calibration rows");
  verb->callback([options, &chosen] { chosen = [options] { return run_layers(*options); }; });
}

}  // namespace outcrop::cli
