#include "trainer_host/cli/rollout.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "platform/cli/strict_numbers.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/objectives.hpp"
#include "trainer_host/cli/published_release.hpp"
#include "trainer_host/cli/rollout_output.hpp"
#include "trainer_host/cli/screen.hpp"

namespace outcrop::cli {
namespace fs = std::filesystem;
namespace {

std::string target_of(const std::string& rollout) {
  return "/v1/rollouts/" + http::encode(rollout);
}

struct StartOptions {
  std::string name;
  std::string release;
  std::string canary;
  std::string on_unmeasurable;
  std::optional<std::uint64_t> soak_seconds;
  std::uint64_t byte_budget_mb = 0;
  std::optional<double> slower_allowed;  // per cent
  std::optional<double> failures_allowed;
  std::optional<std::uint64_t> first_ring;
  std::optional<std::uint64_t> at_once;
  std::optional<std::uint64_t> a_minute;
  std::optional<std::uint64_t> deadline_minutes;
  std::string device_class, tag, group;
  std::optional<double> share;  // per cent
  std::string starts, windows, objective;
  fs::path host;
  bool json = false;
};

// A number of boards, or their names between commas.
Status set_canaries(Json& body, const std::string& text) {
  if (text.empty()) return {};
  if (text.size() <= 6 &&
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= '0' && c <= '9'; })) {
    const unsigned long count = std::stoul(text);
    if (count == 0) {
      return fail(ErrorCode::invalid_argument,
                  "--canary " + text +
                      ": at least one board tries a release first; give a number of 1 or more, or "
                      "names");
    }
    body["canary_count"] = count;
    return {};
  }
  Json names = Json::array();
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) names.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  body["canaries"] = std::move(names);
  return {};
}

// Which boards it is for, when they are offered it, and how many at once.
void add_target(Json& body, const StartOptions& options) {
  const auto add = [&](const char* key, const std::string& text) {
    if (!text.empty()) body[key] = text;
  };
  add("device_class", options.device_class);
  add("tag", options.tag);
  add("group", options.group);
  add("starts", options.starts);
  add("windows", options.windows);
  add("objective", options.objective);
  if (options.share) body["share"] = *options.share / 100;
  if (options.at_once) body["at_once"] = *options.at_once;
  if (options.a_minute) body["a_minute"] = *options.a_minute;
  if (options.deadline_minutes) body["deadline_seconds"] = 60 * *options.deadline_minutes;
}

Status run_start(const StartOptions& options) {
  const HostConnection host(options.host);
  // What was typed is judged before a release is looked for.
  Json body = Json::object();
  OUTCROP_CHECK(set_canaries(body, options.canary));
  if (const auto starts = from_rfc3339(options.starts); !options.starts.empty() && !starts) {
    return fail(ErrorCode::invalid_argument, "--start-at: " + starts.error().message());
  }
  OUTCROP_TRY(release, find_release(host, options.release));
  return reading_answers([&]() -> Status {
    body["manifest"] = release.at("manifest");
    if (!options.name.empty()) body["name"] = options.name;
    if (options.soak_seconds) body["soak_seconds"] = *options.soak_seconds;
    if (!options.on_unmeasurable.empty()) body["on_unmeasurable"] = options.on_unmeasurable;
    if (options.slower_allowed) body["slower_allowed"] = *options.slower_allowed / 100;
    if (options.failures_allowed) body["failed_share"] = *options.failures_allowed / 100;
    if (options.first_ring) body["first_ring"] = *options.first_ring;
    add_target(body, options);
    if (options.byte_budget_mb > 0) body["byte_budget"] = options.byte_budget_mb * 1'000'000;
    OUTCROP_TRY(accepted, host.post("/v1/rollouts", body));
    OUTCROP_TRY(started, host.get(target_of(accepted.at("name").get<std::string>())));
    if (options.json) {
      std::printf("%s\n", json_text(started, 2).c_str());
      return {};
    }
    OUTCROP_TRY(releases, read_releases(host));
    std::printf("%s\nTo follow it: outcrop rollout status %s --wait\n",
                rollout_page(started, nullptr, releases, view_of_standard_output()).c_str(),
                started.at("name").get<std::string>().c_str());
    return {};
  });
}

void add_target_options(CLI::App& verb, StartOptions& options) {
  verb.add_option("--class", options.device_class, "Only boards of this class");
  verb.add_option("--tag", options.tag, "Only boards with this tag (outcrop fleet tag)");
  verb.add_option("--group", options.group, "Only boards of this group (outcrop fleet group)");
  in_unit(verb.add_option("--share", options.share,
                          "Only so many of these boards, chosen by their names: a larger share has all of a smaller one"),
          "PERCENT")
      ->check(CLI::Range(0.0001, 100.0));
  in_unit(verb.add_option("--at-once", options.at_once, "Boards that work on it at once, at most; default: outcropd's, as many as a ring has"),
          "BOARDS")
      ->check(CLI::Range(0, 1'000'000));
  in_unit(verb.add_option("--a-minute", options.a_minute, "Boards that are offered it in a minute, at most; default: outcropd's, no limit"),
          "BOARDS")
      ->check(CLI::Range(0, 1'000'000));
  in_unit(verb.add_option("--deadline", options.deadline_minutes,
                          "A board that began and signs nothing for so long has failed; default: outcropd's, it is waited for"),
          "MINUTES")
      ->check(CLI::Range(0, 30 * 24 * 60));
  verb.add_option("--start-at", options.starts, "Offer it to nobody before, 2026-11-30T22:00:00Z")->type_name("TIME");
  verb.add_option("--window", options.windows, "Offer it at these times of each day only, UTC: 22:00-04:00,12:00-13:00")
      ->type_name("WINDOWS");
}

void add_start(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<StartOptions>();
  CLI::App* verb = parent.add_subcommand(
      "start", "Bring a published release to boards: canaries first, then the rest");
  verb->add_option("name", options->name, "Name of the rollout; default: model, stage and digest");
  verb->add_option("--release", options->release,
                   "Start of the manifest's digest, or the release folder")
      ->required();
  verb->add_option("--canary", options->canary,
                   "How many boards try it first, or which: pi-1,pi-2; default: one of each class")
      ->type_name("N|NAMES");
  in_unit(verb->add_option("--soak", options->soak_seconds,
                           "Seconds that it must serve on a board before it is committed; "
                           "default: outcropd's"),
          "SECONDS");
  verb->add_option("--on-unmeasurable", options->on_unmeasurable,
                   "What a board does that cannot measure: hold, fail, or activate (a first "
                   "install, and on an emulated board an update: where no canary of a class can "
                   "measure, all boards of the class then serve a variant that nobody measured); "
                   "default: outcropd's")
      ->check(CLI::IsMember({"hold", "fail", "activate"}));
  in_unit(verb->add_option("--byte-budget", options->byte_budget_mb,
                           "MB that each board may receive for it; default: half more than its "
                           "size"),
          "MB")
      ->check(CLI::Range(1, 1'000'000));
  in_unit(verb->add_option("--slower-allowed", options->slower_allowed,
                           "By how much p90 may exceed that of what served before, measured in turns on "
                           "the same board; default: outcropd's, 2"),
          "PERCENT")
      ->check(CLI::Range(0.0, 10'000.0));
  in_unit(verb->add_option("--failures-allowed", options->failures_allowed,
                           "How many boards may fail once it widens; default: outcropd's, 0: the first one "
                           "stops it"),
          "PERCENT")
      ->check(CLI::Range(0.0, 100.0));
  in_unit(verb->add_option("--first-ring", options->first_ring,
                           "How many boards work on it at once after the canaries; later as many as have "
                           "taken it; default: outcropd's, 10"),
          "BOARDS")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--objective", options->objective,
                   "The variant that a class gets is that with the least of: p90_ms, p50_ms, memory_mb, size (bytes to pull), error; "
                   "default: what the release says. Canaries serve what they choose by the release's")
      ->type_name("WORD")
      ->check(one_of_objectives());
  add_target_options(*verb, *options);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(
      "A canary that fails its proof, its budget or its installation stops the rollout.\n"
      "So does evidence that boards got slower, or fail too often: it is judged after each board, and with few\n"
      "boards, which are no evidence, budgets and proofs alone decide.\n"
      "Examples:\n  outcrop rollout start --release 4f2a91\n"
      "  outcrop rollout start update-2 --release release-2 --canary pi-1 --soak 600\n"
      "  outcrop rollout start nights --release 4f2a91 --tag roof --window 22:00-04:00 --a-minute 20");
  verb->callback([options, &chosen] { chosen = [options] { return run_start(*options); }; });
}

struct StatusOptions {
  std::string name;
  fs::path host;
  bool watch = false;
  bool wait = false;
  std::chrono::seconds::rep wait_at_most = 24 * 3600;
  bool json = false;
};

// The rollout that is asked for: by name, or the newest.
Result<Json> find_rollout(const HostConnection& host, const std::string& name) {
  if (!name.empty()) return host.get(target_of(name));
  OUTCROP_TRY(answer, host.get("/v1/rollouts?limit=1"));
  const auto all = answer.find("rollouts");
  if (all == answer.end() || !all->is_array() || all->empty()) {
    return fail(ErrorCode::not_found,
                "there is no rollout yet: outcrop rollout start --release MANIFEST");
  }
  return all->front();
}

Result<std::string> status_text(const HostConnection& host, const StatusOptions& options) {
  const bool one = !options.name.empty();
  OUTCROP_TRY(answer, one ? host.get(target_of(options.name)) : host.get_all("/v1/rollouts", "rollouts"));
  if (options.json) return json_text(answer, 2) + "\n";
  OUTCROP_TRY(releases, read_releases(host));
  if (!one) return rollout_list(answer, releases, view_of_standard_output());
  OUTCROP_TRY(devices, host.get_all("/v1/devices", "devices"));
  return rollout_page(answer, devices, releases, view_of_standard_output());
}

// The verdict as exit code.
Status verdict(const Json& rollout) {
  const auto state = rollout.at("state").get<std::string>();
  if (state == "done") return {};
  const std::string reason = rollout.value("reason", "");
  return fail(ErrorCode::refused, "the rollout " + rollout.at("name").get<std::string>() + " was " +
                                      state + (reason.empty() ? "" : ": " + reason));
}

// News of a rollout line by line, for a log; after a minute without any, where boards still are.
class Telling {
 public:
  explicit Telling(Screen& screen) : screen_(screen) {}

  Status tell(const Json& rollout, const Json& devices, Timestamp now) {
    std::set<std::string> keys;
    for (const RolloutLine& line : rollout_lines(rollout)) {
      if (!told_.contains(line.key)) OUTCROP_CHECK(say(line.text));
      keys.insert(line.key);
    }
    told_ = std::move(keys);
    if (SteadyClock::now() - said_ < longest_silence) return {};
    for (const std::string& line : still_at_work(rollout, devices, now)) OUTCROP_CHECK(say(line));
    said_ = SteadyClock::now();
    return {};
  }

 private:
  using SteadyClock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds longest_silence{60};

  Status say(const std::string& line) {
    said_ = SteadyClock::now();
    return screen_.append(line + "\n");
  }

  Screen& screen_;
  std::set<std::string> told_;
  SteadyClock::time_point said_ = SteadyClock::now();
};

// Follows one rollout to its end: a page that changes in place on a terminal, news line by line in
// a log.
Status wait_for_end(const HostConnection& host, const StatusOptions& options) {
  constexpr std::chrono::milliseconds between_looks{500};
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_at_most);
  OUTCROP_TRY(first, find_rollout(host, options.name));
  const std::string name = first.at("name").get<std::string>();
  OUTCROP_TRY(releases, read_releases(host));
  Screen screen;
  Telling telling(screen);
  while (true) {
    OUTCROP_TRY(rollout, host.get(target_of(name)));
    OUTCROP_TRY(devices, host.get_all("/v1/devices", "devices"));
    const bool ended = has_ended(rollout);
    const bool over = ended || std::chrono::steady_clock::now() >= until;
    const View view = view_of_standard_output();
    const std::string page = rollout_page(rollout, devices, releases, view);
    if (options.json) {
      if (over) std::printf("%s\n", json_text(rollout, 2).c_str());
    } else if (screen.terminal()) {
      OUTCROP_CHECK(screen.show(page));
    } else {
      OUTCROP_CHECK(telling.tell(rollout, devices, view.now));
      if (over) std::printf("\n%s", page.c_str());
    }
    if (ended) return verdict(rollout);
    if (over) {
      return fail(ErrorCode::timeout,
                  "the rollout " + name + " was not over after " +
                      std::to_string(options.wait_at_most) + " s: " +
                      rollout.at("state").get<std::string>() + ", " + rollout.value("reason", ""));
    }
    OUTCROP_CHECK(screen.wait(between_looks));
  }
}

Status run_status(const StatusOptions& options) {
  const HostConnection host(options.host);
  if (options.wait) return reading_answers([&] { return wait_for_end(host, options); });
  return show_or_watch(options.watch, [&]() -> Result<std::string> {
    std::string text;
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      OUTCROP_TRY(made, status_text(host, options));
      text = std::move(made);
      return {};
    }));
    return text;
  });
}

void add_status(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* verb = parent.add_subcommand("status", "Show rollouts, or one with its boards");
  verb->add_option("name", options->name, "Rollout; default: all (with --wait: the newest)");
  auto* watch = verb->add_flag("--watch", options->watch, "Show it anew every two seconds");
  auto* wait = verb->add_flag("--wait", options->wait,
                              "Follow it to its end: exit code 0 when done, 1 when stopped or "
                              "aborted, 3 when it is not over after --at-most");
  wait->excludes(watch);
  in_unit(verb->add_option("--at-most", options->wait_at_most, "How long to wait"), "SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(1, 365 * 24 * 3600))
      ->needs(wait);
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer("Examples:\n  outcrop rollout status\n"
               "  outcrop rollout status update-2 --wait --at-most 600");
  verb->callback([options, &chosen] { chosen = [options] { return run_status(*options); }; });
}

void add_rollout_list(CLI::App& parent, Action& chosen) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* verb = parent.add_subcommand("list", "List rollouts, the newest first");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer("One with its boards: outcrop rollout status NAME\nExample:\n  outcrop rollout list");
  verb->callback([options, &chosen] { chosen = [options] { return run_status(*options); }; });
}

struct SteerOptions {
  std::string name;
  fs::path host;
  bool json = false;
};

void add_steer(CLI::App& parent, Action& chosen, const std::string& verb_name,
               const std::string& does, const std::string& note) {
  auto options = std::make_shared<SteerOptions>();
  CLI::App* verb = parent.add_subcommand(verb_name, does);
  verb->add_option("name", options->name, "Rollout")->required();
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer(note + "\nExample:\n  outcrop rollout " + verb_name + " update-2");
  verb->callback([options, verb_name, &chosen] {
    chosen = [options, verb_name]() -> Status {
      const HostConnection host(options->host);
      OUTCROP_CHECK(host.post(target_of(options->name) + "/" + verb_name));
      OUTCROP_TRY(answer, host.get(target_of(options->name)));
      if (options->json) {
        std::printf("%s\n", json_text(answer, 2).c_str());
        return {};
      }
      OUTCROP_TRY(releases, read_releases(host));
      return reading_answers([&]() -> Status {
        std::printf("%s",
                    rollout_page(answer, nullptr, releases, view_of_standard_output()).c_str());
        return {};
      });
    };
  });
}

}  // namespace

void add_rollout(CLI::App& app, Action& chosen) {
  CLI::App* parent = app.add_subcommand("rollout", "Bring releases to boards, and stop them");
  parent->require_subcommand(1);
  add_start(*parent, chosen);
  add_status(*parent, chosen);
  add_rollout_list(*parent, chosen);
  add_steer(*parent, chosen, "pause", "Offer it to no further board",
            "Boards that have begun go on.");
  add_steer(*parent, chosen, "resume", "Go on with a rollout that was paused",
            "It goes on where it was.");
  add_steer(*parent, chosen, "skip-ring", "Let twice as many boards work on it at once from now on",
            "While it widens; it still stops by what boards show.");
  add_steer(*parent, chosen, "abort", "Stop it, and take it back from boards that are at it",
            "It cannot be resumed; start another.");
}

}  // namespace outcrop::cli
