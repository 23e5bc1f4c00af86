#include "trainer_host/cli/fleet.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "platform/http/client.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/join.hpp"
#include "trainer_host/cli/device_filter.hpp"
#include "trainer_host/cli/fleet_adopt.hpp"
#include "trainer_host/cli/fleet_best.hpp"
#include "trainer_host/cli/fleet_layers.hpp"
#include "trainer_host/cli/fleet_monitor.hpp"
#include "trainer_host/cli/fleet_move.hpp"
#include "trainer_host/cli/fleet_picture.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/fleet_tag.hpp"
#include "trainer_host/cli/fleet_token.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/host_notes.hpp"
#include "trainer_host/cli/published_release.hpp"
#include "trainer_host/cli/screen.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

struct ViewOptions {
  fs::path host;
  bool watch = false;
  bool json = false;
};

void add_view_options(CLI::App& verb, ViewOptions& options) {
  add_host_option(verb, options.host);
  verb.add_flag("--watch", options.watch, "Show it anew every two seconds, until Ctrl-C");
  verb.add_flag("--json", options.json, "Print what outcropd says, in JSON");
}

// Text from an answer, whose form may surprise.
Result<std::string> read_text(const std::function<Result<std::string>()>& work) {
  std::string text;
  OUTCROP_CHECK(reading_answers([&]() -> Status {
    OUTCROP_TRY(made, work());
    text = std::move(made);
    return {};
  }));
  return text;
}

struct DevicesOptions : ViewOptions {
  bool check = false;
  DeviceFilter filter;
};

Result<std::string> devices_text(const HostConnection& host, const DevicesOptions& options) {
  OUTCROP_TRY(fleet, read_fleet(host, options.filter.words()));
  if (options.json) return json_text(fleet.devices, 2) + "\n";
  if (!options.filter.words().empty() && fleet.devices.at("devices").empty()) return nobody_fits + fleet.notes;
  OUTCROP_TRY(releases, read_releases(host));
  return device_table(fleet, releases, view_of_standard_output()) + fleet.notes;
}

// The state of the fleet as exit code.
Status check_fleet(const HostConnection& host, const DevicesOptions& options) {
  OUTCROP_TRY(fleet, read_fleet(host, options.filter.words()));
  return reading_answers([&]() -> Status {
    const std::vector<std::string> problems = fleet_problems(fleet, SystemClock().now());
    if (problems.empty()) return {};
    return fail(ErrorCode::refused, join(problems, "; "));
  });
}

Status run_devices(const DevicesOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_CHECK(show_or_watch(options.watch, [&] {
    return read_text([&] { return devices_text(host, options); });
  }));
  if (!options.check) return {};
  return check_fleet(host, options);
}

void add_devices(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<DevicesOptions>();
  CLI::App* verb = parent.add_subcommand("devices", "Show what boards serve and are at work on");
  add_view_options(*verb, *options);
  add_filter_options(*verb, options->filter);
  verb->add_flag("--check", options->check,
                 "Exit code 1, with the reasons, where a board is offline or its rollout came to "
                 "nothing, or outcropd does not hear boards")
      ->excludes(verb->get_option("--watch"));
  verb->footer(
      "seen: online; offline, or stale where outcropd itself has lost its broker, and for how "
      "long.\n"
      "Examples:\n  outcrop fleet devices --watch\n"
      "  outcrop fleet devices --tag lab\n"
      "  outcrop fleet devices --check > /dev/null || mail -s fleet me");
  verb->callback([options, &chosen] { chosen = [options] { return run_devices(*options); }; });
}

struct ReportOptions : ViewOptions {
  std::string device;
  std::string release;
  int limit = 1000;
};

// Releases, with the manifests of those that a report is about where outcropd can show them.
Result<ReleaseDetails> details_of(const HostConnection& host, const Json& reports) {
  OUTCROP_TRY(details, read_releases(host));
  for (auto& [manifest, release] : details) {
    const bool wanted = std::any_of(
        reports.at("reports").begin(), reports.at("reports").end(), [&](const Json& entry) {
          return entry.at("report").at("manifest").get<std::string>() == manifest;
        });
    if (!wanted) continue;
    auto described = host.get("/v1/releases/" + manifest);
    if (described) release = std::move(*described);
  }
  return details;
}

// A board that is not there has no reports: that is another answer than "none yet".
Status check_board(const HostConnection& host, const std::string& name) {
  OUTCROP_TRY(answer, host.get_all("/v1/devices", "devices"));
  return reading_answers([&]() -> Status {
    std::vector<std::string> known;
    for (const Json& device : answer.at("devices")) {
      known.push_back(device.at("name").get<std::string>());
      if (known.back() == name) return {};
    }
    const auto meant = platform::nearest(name, known);
    return fail(ErrorCode::not_found,
                "no board '" + name + "' was ever enrolled" +
                    (meant ? "; did you mean '" + *meant + "'?" : " (outcrop device list)"));
  });
}

Status run_reports(const ReportOptions& options) {
  const HostConnection host(options.host);
  std::string target = "/v1/reports?limit=" + std::to_string(options.limit);
  if (!options.device.empty()) {
    OUTCROP_CHECK(check_board(host, options.device));
    target += "&device=" + http::encode(options.device);
  }
  if (!options.release.empty()) {
    OUTCROP_TRY(release, find_release(host, options.release));
    target += "&manifest=" + release.at("manifest").get<std::string>();
  }
  return show_or_watch(options.watch, [&] {
    return read_text([&]() -> Result<std::string> {
      OUTCROP_TRY(reports, host.get(target));
      if (options.json) return json_text(reports, 2) + "\n";
      OUTCROP_TRY(details, details_of(host, reports));
      OUTCROP_TRY(fleet, read_fleet(host));
      return report_table(reports, details, fleet, view_of_standard_output());
    });
  });
}

void add_reports(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* verb = parent.add_subcommand(
      "reports", "Show what boards measured: every variant of every release on every board");
  verb->add_option("--device", options->device, "Of this board only");
  verb->add_option("--release", options->release,
                   "Of this release only: start of its manifest's digest, or its folder");
  verb->add_option("--limit", options->limit, "Newest reports to look at")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  add_view_options(*verb, *options);
  verb->footer(
      "Times in milliseconds; memory is that of the whole runner; the error, against float, is the\n"
      "mean one of the output that came nearest to its tolerance; age: since it was measured.\n"
      "Narrow terminals are spared some columns; --json has all.\n"
      "Examples:\n  outcrop fleet reports\n  outcrop fleet reports --device pi-1 --json");
  verb->callback([options, &chosen] { chosen = [options] { return run_reports(*options); }; });
}

}  // namespace

void add_fleet(CLI::App& app, Action& chosen) {
  CLI::App* parent = app.add_subcommand("fleet", "Show what boards do and what they measured");
  parent->require_subcommand(1);
  add_devices(*parent, chosen);
  add_reports(*parent, chosen);
  add_fleet_best(*parent, chosen);
  add_fleet_layers(*parent, chosen);
  add_fleet_monitor(*parent, chosen);
  add_fleet_picture(*parent, chosen);
  add_fleet_move(*parent, chosen);
  add_adopt(*parent, chosen);
  add_fleet_tags(*parent, chosen);
  add_fleet_tokens(*parent, chosen);
}

}  // namespace outcrop::cli
