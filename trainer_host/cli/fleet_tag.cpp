#include "trainer_host/cli/fleet_tag.hpp"

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "platform/http/client.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {
namespace {

struct TagOptions {
  std::filesystem::path host;
  std::vector<std::string> words;  // boards, then the tag
  bool remove = false;
  bool json = false;
};

Status run_tag(const TagOptions& options) {
  if (options.words.size() < 2) {
    return fail(ErrorCode::invalid_argument, "say boards, then the tag: outcrop fleet tag pi-1 pi-2 lab");
  }
  const std::vector<std::string> boards(options.words.begin(), options.words.end() - 1);
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.post("/v1/tags", {{"tag", options.words.back()}, {"devices", boards}, {"remove", options.remove}}));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
      return {};
    }
    const std::size_t changed = answer.at("changed").size();
    std::printf("%zu of %s %s the tag %s%s.\n", changed, counted(boards.size(), "board").c_str(), options.remove ? "lost" : "got",
                options.words.back().c_str(),
                changed == boards.size() ? "" : options.remove ? "; the others did not have it" : "; the others had it");
    return {};
  });
}

void add_tag(CLI::App& fleet, Action& chosen) {
  auto options = std::make_shared<TagOptions>();
  CLI::App* verb = fleet.add_subcommand("tag", "Give boards a tag, or take it from them");
  verb->add_option("boards", options->words, "Boards, and then the tag: a-z, 0-9 and -")->required()->type_name("BOARD... TAG");
  verb->add_flag("--remove", options->remove, "Take it from them");
  add_host_option(*verb, options->host);
  verb->add_flag("--json", options->json, "Print a JSON object instead of text");
  verb->footer("All of them or none. `outcrop fleet devices --tag TAG` shows who has it, `outcrop rollout start --tag TAG` is for\n"
               "them; a board that gets the tag later gets the release of the newest such rollout, too.\n"
               "Examples:\n  outcrop fleet tag pi-1 pi-2 lab\n  outcrop fleet tag pi-2 lab --remove");
  verb->callback([options, &chosen] { chosen = [options] { return run_tag(*options); }; });
}

struct GroupOptions {
  std::filesystem::path host;
  std::string name, filter;
  bool json = false;
};

std::string target_of(const GroupOptions& options) {
  return "/v1/groups/" + http::encode(options.name);
}

Status run_save(const GroupOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.put(target_of(options), json_text(Json{{"filter", options.filter}})));
  if (options.json) {
    print_json(answer);
  } else {
    std::printf("The group %s is of boards with %s.\n", options.name.c_str(), options.filter.c_str());
  }
  return {};
}

Status run_list(const GroupOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.get("/v1/groups"));
  return reading_answers([&]() -> Status {
    if (options.json) {
      print_json(answer);
      return {};
    }
    for (const Json& one : answer.at("groups")) {
      std::printf("%-24s %s\n", one.at("name").get<std::string>().c_str(), one.at("filter").get<std::string>().c_str());
    }
    if (answer.at("groups").empty()) {
      std::printf("No filter was given a name yet: outcrop fleet group save NAME 'class=raspberry-pi-4&tag=lab'\n");
    }
    return {};
  });
}

Status run_remove(const GroupOptions& options) {
  const HostConnection host(options.host);
  OUTCROP_TRY(answer, host.remove(target_of(options)));
  if (options.json) {
    print_json(answer);
  } else {
    std::printf("The group %s is forgotten; its boards are what they were.\n", options.name.c_str());
  }
  return {};
}

void add_groups(CLI::App& fleet, Action& chosen) {
  CLI::App* parent = fleet.add_subcommand("group", "Give filters of boards names");
  parent->require_subcommand(1);
  auto options = std::make_shared<GroupOptions>();
  const auto verb = [&](const char* name, const char* about, Status (*run)(const GroupOptions&)) {
    CLI::App* made = parent->add_subcommand(name, about);
    add_host_option(*made, options->host);
    made->add_flag("--json", options->json, "Print what outcropd says, in JSON");
    made->callback([options, run, &chosen] { chosen = [options, run] { return run(*options); }; });
    return made;
  };
  CLI::App* save = verb("save", "Give a filter a name, or a name another filter", run_save);
  save->add_option("name", options->name, "Its name: a-z, 0-9 and -")->required();
  save->add_option("filter", options->filter, "Which boards: class, model, tag, health, rollout, q (part of the name)")->required();
  save->footer("Whoever fits is of the group, now and later. A rollout can be for a group of a class, a tag and part of a name.\n"
               "Example:\n  outcrop fleet group save roof-pis 'class=raspberry-pi-4&tag=roof'");
  verb("list", "Show them", run_list);
  verb("remove", "Forget one", run_remove)->add_option("name", options->name, "Which")->required();
}

}  // namespace

void add_fleet_tags(CLI::App& fleet, Action& chosen) {
  add_tag(fleet, chosen);
  add_groups(fleet, chosen);
}

}  // namespace outcrop::cli
