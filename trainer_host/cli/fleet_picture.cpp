#include "trainer_host/cli/fleet_picture.hpp"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "trainer_host/cli/host_connection.hpp"
#include "trainer_host/cli/monitor_output.hpp"
#include "trainer_host/cli/published_release.hpp"

namespace outcrop::cli {
namespace {

constexpr std::chrono::milliseconds between_looks{250};
constexpr int longest_wait = 3600;

struct PictureOptions {
  std::filesystem::path host;
  std::string board;
  std::string device_class;
  std::string release;
  int most = 16;
  std::filesystem::path out;
  std::string of = "all";
  int wait = 60;
  bool kept = false;
  bool json = false;
};

std::string target_of(const PictureOptions& options) {
  return "/v1/devices/" + http::encode(options.board) + "/picture";
}

Result<Json> ask(const HostConnection& host, const PictureOptions& options) {
  Json body{{"most", options.most}};
  if (!options.board.empty()) body["device"] = options.board;
  if (!options.device_class.empty()) body["device_class"] = options.device_class;
  if (!options.release.empty()) {
    OUTCROP_TRY(release, find_release(host, options.release));
    body["manifest"] = release.at("manifest");
  }
  return host.post("/v1/pictures", body);
}

Status ask_several(const PictureOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, ask(host, options));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
    } else {
      std::fputs(picture_words(answer).c_str(), stdout);
    }
    return {};
  });
}

// Until it has answered, or the time is over.
Result<Json> answered(const HostConnection& host, const PictureOptions& options) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options.wait);
  for (;;) {
    OUTCROP_TRY(answer, host.get(target_of(options)));
    bool waits = false;
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      waits = answer.at("waits").get<bool>() && !options.kept;
      return {};
    }));
    if (!waits) return answer;
    if (std::chrono::steady_clock::now() >= until) {
      return fail(ErrorCode::timeout, options.board + " has not drawn within " + std::to_string(options.wait) +
                                          " s: it does when no update is at work and nobody uses it, within a day. Then: "
                                          "outcrop fleet picture " + options.board + " --kept");
    }
    std::this_thread::sleep_for(between_looks);
  }
}

Status draw_one(const PictureOptions& options) {
  const HostConnection host(options.host);
  if (!options.kept) {
    OUTCROP_TRY(asked, ask(host, options));
    OUTCROP_CHECK(reading_answers([&]() -> Status {
      const Json& left_out = asked.at("left_out");
      if (!left_out.contains(options.board)) return {};
      return fail(ErrorCode::refused, options.board + " was not asked: " + left_out.at(options.board).get<std::string>());
    }));
  }
  OUTCROP_TRY(answer, answered(host, options));
  return reading_answers([&]() -> Status {
    const std::string words = answer.at("words").get<std::string>();
    if (answer.at("picture").is_null()) {
      return fail(ErrorCode::not_found, options.board + ": " + (words.empty() ? "it has not answered yet" : words));
    }
    const std::filesystem::path file = options.out.empty() ? std::filesystem::path(options.board + ".png") : options.out;
    OUTCROP_TRY(bytes, host.get_bytes(target_of(options) + ".png?of=" + options.of));
    OUTCROP_CHECK(write_file_durably(file, bytes));
    if (options.json) {
      answer["file"] = file.string();
      print_json(answer);
      return {};
    }
    std::printf("%s\n", picture_text(answer, options.of, file.string()).c_str());
    return {};
  });
}

Status run_picture(const PictureOptions& options) {
  if (!options.board.empty()) return draw_one(options);
  if (options.kept || !options.out.empty()) {
    return fail(ErrorCode::invalid_argument, "--kept and --out are of one board: outcrop fleet picture NAME");
  }
  return ask_several(options);
}

}  // namespace

void add_fleet_picture(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<PictureOptions>();
  CLI::App* verb = fleet.add_subcommand("picture", "Have a board draw, and hold that against the host's own of the same seed");
  auto* name = verb->add_option("name", options->board, "One board, whose picture is waited for and written");
  verb->add_option("--class", options->device_class, "Only ask boards of this class")->excludes(name);
  verb->add_option("--release", options->release, "Only ask those that serve this release: start of its manifest's digest, or its folder")
      ->excludes(name);
  verb->add_option("--most", options->most, "Ask so many boards at most")->capture_default_str()->check(CLI::Range(1, 64));
  verb->add_option("--out", options->out, "The PNG to write; NAME.png where nothing is said")->type_name("FILE");
  verb->add_option("--of", options->of, "What is in it: board, host (the host's own), difference, or all three side by side")
      ->capture_default_str()
      ->check(CLI::IsMember({"board", "host", "difference", "all"}));
  verb->add_option("--wait", options->wait, "Seconds to wait for it")->capture_default_str()->check(CLI::Range(0, longest_wait));
  verb->add_flag("--kept", options->kept, "Ask for none: the one that it drew last");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print what outcropd says, in JSON");
  verb->footer(
      "What serves there makes the first golden call of its release, of which the host has the float model's answer: nothing\n"
      "that anybody asked the board's model is told. A board draws when no update is at work and nobody uses it. Of an output\n"
      "that is no map (scores of classes) there is no picture, and the answer says so.\n"
      "Examples:\n  outcrop fleet picture pi-1\n  outcrop fleet picture pi-1 --of difference --out off.png\n"
      "  outcrop fleet picture --class raspberry-pi-4 --most 8");
  verb->callback([options, &chosen] { chosen = [options] { return run_picture(*options); }; });
}

}  // namespace outcrop::cli
