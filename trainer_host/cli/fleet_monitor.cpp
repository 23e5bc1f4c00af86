#include "trainer_host/cli/fleet_monitor.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "platform/http/client.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/fleet_output.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/monitor_output.hpp"
#include "trainer_host/cli/published_release.hpp"

namespace outcrop::cli {
namespace {

struct HistoryOptions {
  std::filesystem::path host;
  std::string board;
  int days = 1;
  std::string resolution = "hour";
  bool json = false;
};

Status run_history(const HistoryOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(board, host.get("/v1/devices/" + http::encode(options.board)));
  const Timestamp now = SystemClock().now();
  const std::string from = to_rfc3339(now - std::chrono::days(options.days));
  const auto ask = [&](const std::string& measure, const std::string& resolution) {
    return host.get("/v1/history?measure=" + measure + "&device=" + http::encode(options.board) +
                    "&from=" + http::encode(from) + "&resolution=" + resolution + "&points=2000");
  };
  HistoryAnswers answers;
  OUTCROP_TRY(served, ask("served_ms", options.resolution));
  OUTCROP_TRY(temperature, ask("temperature", options.resolution));
  OUTCROP_TRY(measured, ask("measured_p90_ms", "raw"));
  OUTCROP_TRY(outliers, host.get("/v1/outliers?limit=1000&from=" + http::encode(from)));
  answers = {std::move(served), std::move(temperature), std::move(measured), std::move(outliers)};
  if (options.json) {
    std::printf("%s\n", json_text(Json{{"device", std::move(board)},
                                       {"served_ms", answers.served},
                                       {"temperature", answers.temperature},
                                       {"measured_p90_ms", answers.measured},
                                       {"outliers", answers.outliers.at("outliers")}}, 2).c_str());
    return {};
  }
  return reading_answers([&]() -> Status {
    std::fputs(history_tables(options.board, answers, now, view_of_standard_output().width).c_str(), stdout);
    return {};
  });
}

void add_history(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<HistoryOptions>();
  CLI::App* verb = fleet.add_subcommand("history", "Show how a board fared: what it served, how warm it was, "
                                                   "what it measured");
  verb->add_option("name", options->board, "The board")->required();
  verb->add_option("--days", options->days, "How long ago to begin")->capture_default_str()->check(CLI::Range(1, 400));
  verb->add_option("--resolution", options->resolution,
                   "raw (as the board told it, 48 hours), hour (30 days) or day (400 days)")
      ->capture_default_str()
      ->check(CLI::IsMember({"raw", "hour", "day"}));
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "Times in milliseconds, of the calls of the board's own programs; °C: the most. Held back: samples in\n"
      "which the firmware did, and why. The hour that is not over is merged every five minutes. Lines that\n"
      "begin with ! are measurements far from what that board, or its class, usually has.\n"
      "Examples:\n  outcrop fleet history pi-1\n  outcrop fleet history pi-1 --days 30 --resolution day");
  verb->callback([options, &chosen] { chosen = [options] { return run_history(*options); }; });
}

struct MeasureOptions {
  std::filesystem::path host;
  std::string board;
  std::string device_class;
  std::string release;
  bool layers = false;
  bool json = false;
};

Status run_measure(const MeasureOptions& options) {
  const HostConnection host(options.host);
  Json body = Json::object();
  if (!options.board.empty()) body["device"] = options.board;
  if (!options.device_class.empty()) body["device_class"] = options.device_class;
  if (!options.release.empty()) {
    OUTCROP_TRY(release, find_release(host, options.release));
    body["manifest"] = release.at("manifest");
  }
  if (options.layers) body["layers"] = true;
  OUTCROP_TRY(answer, host.post("/v1/measure", body));
  if (options.json) {
    std::printf("%s\n", json_text(answer, 2).c_str());
    return {};
  }
  return reading_answers([&]() -> Status {
    std::fputs(measure_words(answer).c_str(), stdout);
    return {};
  });
}

void add_measure(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<MeasureOptions>();
  CLI::App* verb = fleet.add_subcommand("measure", "Have boards measure again what they serve");
  auto* name = verb->add_option("name", options->board, "One board");
  auto* device_class = verb->add_option("--class", options->device_class, "The boards of this class");
  verb->add_option("--release", options->release,
                   "Those that serve this release: start of its manifest's digest, or its folder");
  name->excludes(device_class);
  verb->add_flag("--layers", options->layers,
                 "And time each operator of the variants that lie there: outcrop fleet layers shows it");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "A board measures when no update is at work and nobody uses it, by the same rules as before it took the\n"
      "release; what others disturbed is void. [monitor] measure_every_hours of host.toml does so by itself.\n"
      "Examples:\n  outcrop fleet measure pi-1\n  outcrop fleet measure --class raspberry-pi-4\n"
      "  outcrop fleet measure pi-1 --layers");
  verb->callback([options, &chosen] { chosen = [options] { return run_measure(*options); }; });
}

struct AuditOptions {
  std::filesystem::path host;
  std::string subject;
  std::string action;
  std::size_t limit = 50;
  bool csv = false;
  bool json = false;
  bool verify = false;
  std::string head;
};

// The newest first; all where `limit` is 0.
Result<std::vector<Json>> read_audit(const HostConnection& host, const AuditOptions& options, std::size_t limit) {
  std::vector<Json> entries;
  std::string below;
  while (true) {
    const std::size_t page = limit == 0 ? 1000 : std::min<std::size_t>(1000, limit - entries.size());
    std::string target = "/v1/audit?limit=" + std::to_string(page) + below;
    if (!options.subject.empty()) target += "&subject=" + http::encode(options.subject);
    if (!options.action.empty()) target += "&action=" + http::encode(options.action);
    OUTCROP_TRY(answer, host.get(target));
    bool more = false;
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      for (const Json& entry : answer.at("entries")) entries.push_back(entry);
      more = !answer.at("older").is_null();
      if (more) below = "&below=" + std::to_string(answer.at("older").get<std::uint64_t>());
      return {};
    }));
    if (!more || (limit != 0 && entries.size() >= limit)) return entries;
  }
}

Status run_audit(const AuditOptions& options) {
  const HostConnection host(options.host);
  if (options.verify || !options.head.empty()) {
    AuditOptions everything = options;
    everything.subject.clear();
    everything.action.clear();
    OUTCROP_TRY(entries, read_audit(host, everything, 0));
    return reading_answers([&]() -> Status {
      OUTCROP_TRY(checked, check_audit(entries, options.head));
      std::printf("%llu entries, each as it was written. Note its head, and give it with --head the next time:\n%s\n",
                  static_cast<unsigned long long>(checked.entries), checked.head.c_str());
      return {};
    });
  }
  OUTCROP_TRY(entries, read_audit(host, options, options.csv ? 0 : options.limit));
  if (options.json) {
    std::printf("%s\n", json_text(Json{{"entries", entries}}, 2).c_str());
    return {};
  }
  return reading_answers([&]() -> Status {
    const std::string text = options.csv ? audit_csv(entries)
                                         : audit_table(entries, SystemClock().now(), view_of_standard_output().width);
    std::fputs(text.c_str(), stdout);
    return {};
  });
}

void add_audit(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<AuditOptions>();
  CLI::App* verb = fleet.add_subcommand("audit", "Show who did what, and check that nobody changed it since");
  verb->add_option("--subject", options->subject, "Of this rollout or board");
  verb->add_option("--action", options->action, "Of this kind: release-published, rollout-started, rollout-decided, revoked, enrolled, hold, ...");
  verb->add_option("--limit", options->limit, "The newest so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  verb->add_flag("--csv", options->csv, "All of them, for other programs");
  verb->add_flag("--verify", options->verify, "Check the chain of hashes from the first entry on");
  verb->add_option("--head", options->head,
                   "NUMBER:HASH, as --verify printed it before: must be in it, or the log was written anew");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "Each entry's hash covers the one before. Whoever has the database can write the whole log anew: so keep\n"
      "the head that --verify prints where that person cannot write.\n"
      "Examples:\n  outcrop fleet audit --subject stage2\n  outcrop fleet audit --csv > audit.csv\n"
      "  outcrop fleet audit --verify");
  verb->callback([options, &chosen] { chosen = [options] { return run_audit(*options); }; });
}

}  // namespace

void add_fleet_monitor(CLI::App& fleet, Action& chosen) {
  add_history(fleet, chosen);
  add_measure(fleet, chosen);
  add_audit(fleet, chosen);
}

}  // namespace outcrop::cli
