#include "trainer_host/cli/fleet_best.hpp"

#include <cstdio>
#include <memory>

#include "platform/http/client.hpp"
#include "trainer_host/cli/best_output.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/objectives.hpp"

namespace outcrop::cli {
namespace {

struct BestOptions {
  std::filesystem::path host;
  std::string objective = "p90_ms";
  std::string model, device_class;
  bool json = false;
};

Status run_best(const BestOptions& options) {
  const HostConnection host(options.host);
  std::string target = "/v1/best?objective=" + http::encode(options.objective);
  if (!options.model.empty()) target += "&model=" + http::encode(options.model);
  if (!options.device_class.empty()) target += "&class=" + http::encode(options.device_class);
  OUTCROP_TRY(answer, host.get(target));
  if (options.json) {
    print_json(answer);
    return {};
  }
  OUTCROP_TRY(releases, read_releases(host));
  return reading_answers([&]() -> Status {
    std::fputs(best_tables(answer, releases, view_of_standard_output(),
                           !options.model.empty() || !options.device_class.empty()).c_str(), stdout);
    return {};
  });
}

}  // namespace

void add_fleet_best(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<BestOptions>();
  CLI::App* verb = fleet.add_subcommand("best", "Show which variant, and which release, is best for each class of boards");
  verb->add_option("--objective", options->objective, "Less of it is better: p90_ms, p50_ms, memory_mb, size (bytes to pull), error")
      ->type_name("WORD")
      ->check(one_of_objectives())
      ->capture_default_str();
  verb->add_option("--class", options->device_class, "Only this class");
  verb->add_option("--model", options->model, "Only boards of this model");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "Each is held against what most boards of the class serve, on the boards that measured both: the median of their\n"
      "ratios, with its interval (95 % at any time). Evidence of 100 comes by chance once in a hundred times; fewer than\n"
      "seven boards cannot give it. An error is that beside the release's own float model, so it compares variants only.\n"
      "Examples:\n  outcrop fleet best\n  outcrop fleet best --objective size --class raspberry-pi-4\n"
      "Then: outcrop rollout start --release 4f2a91 --objective size");
  verb->callback([options, &chosen] { chosen = [options] { return run_best(*options); }; });
}

}  // namespace outcrop::cli
