#include "trainer_host/cli/fleet.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/host_connection.hpp"
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

void add_devices(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<ViewOptions>();
  CLI::App* verb = parent.add_subcommand("devices", "Show what boards serve and are at work on");
  add_view_options(*verb, *options);
  verb->footer("Example:\n  outcrop fleet devices --watch");
  verb->callback([options, &chosen] {
    chosen = [options] {
      const HostConnection host(options->host);
      return show_or_watch(options->watch, [&] {
        return read_text([&]() -> Result<std::string> {
          OUTCROP_TRY(answer, host.get("/v1/devices"));
          if (options->json) return answer.dump(2) + "\n";
          return device_table(answer, SystemClock().now());
        });
      });
    };
  });
}

struct ReportOptions : ViewOptions {
  std::string device;
  std::string release;
  int limit = 1000;
};

// Every release that a report is about, with its manifest where outcropd can show it.
Result<ReleaseDetails> details_of(const HostConnection& host, const Json& reports) {
  ReleaseDetails details;
  OUTCROP_TRY(answer, host.get("/v1/releases"));
  for (const Json& release : answer.at("releases")) {
    details[release.at("manifest").get<std::string>()] = release;
  }
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

Status run_reports(const ReportOptions& options) {
  const HostConnection host(options.host);
  std::string target = "/v1/reports?limit=" + std::to_string(options.limit);
  if (!options.device.empty()) target += "&device=" + http::encode(options.device);
  if (!options.release.empty()) {
    OUTCROP_TRY(release, find_release(host, options.release));
    target += "&manifest=" + release.at("manifest").get<std::string>();
  }
  return show_or_watch(options.watch, [&] {
    return read_text([&]() -> Result<std::string> {
      OUTCROP_TRY(reports, host.get(target));
      if (options.json) return reports.dump(2) + "\n";
      OUTCROP_TRY(details, details_of(host, reports));
      return report_table(reports, details);
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
      "Times in milliseconds; memory is that of the whole runner; the error is the mean one of\n"
      "the output that came nearest to its tolerance.\n"
      "Examples:\n  outcrop fleet reports\n  outcrop fleet reports --device pi-1 --json");
  verb->callback([options, &chosen] { chosen = [options] { return run_reports(*options); }; });
}

}  // namespace

void add_fleet(CLI::App& app, Action& chosen) {
  CLI::App* parent = app.add_subcommand("fleet", "Show what boards do and what they measured");
  parent->require_subcommand(1);
  add_devices(*parent, chosen);
  add_reports(*parent, chosen);
}

}  // namespace outcrop::cli
