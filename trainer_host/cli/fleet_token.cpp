#include "trainer_host/cli/fleet_token.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>

#include "platform/http/client.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {
namespace {

struct TokenOptions {
  std::filesystem::path host;
  std::string name;
  std::string role = "viewer";
  bool json = false;
};

Status run_add(const TokenOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.post("/v1/tokens", {{"name", options.name}, {"role", options.role}}));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
    } else {
      // Alone on standard output, so that a script can take it.
      std::printf("%s\n", answer.at("token").get<std::string>().c_str());
      std::fprintf(stderr, "This is shown once. %s may %s.\n", options.name.c_str(),
                   options.role == "viewer"     ? "look"
                   : options.role == "operator" ? "look and steer rollouts"
                                                : "do everything");
    }
    return {};
  });
}

Status run_list(const TokenOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.get("/v1/tokens"));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
      return {};
    }
    for (const Json& one : answer.at("tokens")) {
      std::printf("%-24s %-9s made %s\n", one.at("name").get<std::string>().c_str(),
                  one.at("role").get<std::string>().c_str(), one.at("made").get<std::string>().c_str());
    }
    if (answer.at("tokens").empty()) {
      std::printf("Nobody comes by TCP with a token: outcrop fleet token add NAME --role viewer\n");
    }
    return {};
  });
}

Status run_remove(const TokenOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.remove("/v1/tokens/" + http::encode(options.name)));
  if (options.json) {
    print_json(answer);
  } else {
    std::printf("The token %s is worth nothing any more.\n", options.name.c_str());
  }
  return {};
}

}  // namespace

void add_fleet_tokens(CLI::App& fleet, Action& chosen) {
  CLI::App* parent =
      fleet.add_subcommand("token", "Say who may see the fleet's pages, API and metrics by TCP");
  parent->require_subcommand(1);
  auto options = std::make_shared<TokenOptions>();
  const auto verb = [&](const char* name, const char* about, Status (*run)(const TokenOptions&)) {
    CLI::App* made = parent->add_subcommand(name, about);
    add_host_option(*made, options->host);
    made->add_flag("--json", options->json, "Print what outcropd says, in JSON");
    made->callback([options, run, &chosen] { chosen = [options, run] { return run(*options); }; });
    return made;
  };
  CLI::App* add = verb("add", "Make a token and print it, once", run_add);
  add->add_option("name", options->name, "For whom: letters, digits, '.', '_' and '-'")->required();
  add->add_option("--role", options->role,
                  "viewer looks, operator steers rollouts, too, admin does everything")
      ->capture_default_str()
      ->check(CLI::IsMember({"viewer", "operator", "admin"}));
  add->footer(
      "outcropd keeps a hash of it. Pages ask for it once a browser; programs send it as\n"
      "  Authorization: Bearer TOKEN\n"
      "Where outcropd listens is said by [http] in host.toml.\n"
      "Example:\n  outcrop fleet token add prometheus > /etc/prometheus/outcrop-token");
  verb("list", "Show who has one", run_list);
  CLI::App* remove = verb("remove", "Take one back, at once", run_remove);
  remove->add_option("name", options->name, "Whose")->required();
}

}  // namespace outcrop::cli
