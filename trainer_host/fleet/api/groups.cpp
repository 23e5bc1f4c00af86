#include <algorithm>

#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/view/filter.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount tags_body_limit = ByteCount::mib(1);
constexpr ByteCount group_body_limit = ByteCount::kib(4);
constexpr std::size_t most_tagged = 10'000;
constexpr std::size_t longest_filter = 1024;

// "class=pi&tag=lab" as words of a query.
Result<std::map<std::string, std::string>> words_of(const std::string& filter) {
  std::map<std::string, std::string> words;
  for (std::size_t at = 0; at < filter.size();) {
    const std::size_t end = std::min(filter.find('&', at), filter.size());
    const std::string one = filter.substr(at, end - at);
    const std::size_t equals = one.find('=');
    if (equals == std::string::npos || !words.emplace(one.substr(0, equals), one.substr(equals + 1)).second) {
      return fail(ErrorCode::invalid_argument, "'" + one + "' is no part of a filter; write it as class=pi&tag=lab");
    }
    at = end + 1;
  }
  return words;
}

Json to_json(const Group& group) {
  return {{"name", group.name}, {"filter", group.filter}};
}

}  // namespace

Result<http::Response> Api::group_of(Registry& registry, const std::string& name) {
  OUTCROP_TRY(group, find_group(registry, name));
  return respond(to_json(group));
}

// All of them or none.
Result<http::Response> Api::tag_devices(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, tags_body_limit, "tags"));
  messages::ObjectReader reader(json, "tags");
  const std::string tag = reader.name("tag");
  const std::vector<std::string> names = reader.texts("devices", most_tagged, 63);
  const bool remove = reader.has("remove") && reader.boolean("remove");
  reader.done();
  OUTCROP_CHECK(reader.status());
  std::vector<std::string> changed;
  OUTCROP_CHECK(parts_.registry.transaction([&]() -> Status {
    for (const std::string& name : names) {
      OUTCROP_TRY(device, parts_.registry.device(name));
      if (!device) return fail(ErrorCode::not_found, "no board '" + name + "' was ever enrolled; nothing was changed");
      const bool differs = remove ? device->tags.erase(tag) > 0 : device->tags.insert(tag).second;
      if (!differs) continue;
      if (device->tags.size() > most_tags) {
        return fail(ErrorCode::invalid_argument, "'" + name + "' has " + std::to_string(most_tags) +
                                                     " tags already, as many as a board can have; nothing was changed");
      }
      OUTCROP_TRY(saved, parts_.registry.save_tags(name, device->tags));
      if (saved) changed.push_back(name);
    }
    return {};
  }));
  if (!changed.empty()) parts_.driver.tick();  // a rollout may be for it now
  return respond({{"tag", tag}, {"changed", changed}});
}

Result<http::Response> Api::groups() {
  OUTCROP_TRY(all, parts_.reader.groups());
  Json json = Json::array();
  for (const Group& group : all) json.push_back(to_json(group));
  return respond({{"groups", std::move(json)}});
}

Result<http::Response> Api::save_group(const std::string& name, const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, group_body_limit, "group"));
  messages::ObjectReader reader(json, "group");
  const Group group{name, reader.text("filter", longest_filter)};
  reader.done();
  OUTCROP_CHECK(reader.status());
  if (!messages::is_name(name)) {
    return fail(ErrorCode::invalid_argument, "'" + name + "' is no name for a group: 1 to 63 of a-z, 0-9 and -");
  }
  OUTCROP_TRY(words, words_of(group.filter));
  for (const char* word : {"sort", "limit", "after", "group"}) {
    if (words.contains(word)) {
      return fail(ErrorCode::invalid_argument, "'" + std::string(word) + "' says how boards are shown, not which: leave it out of a group");
    }
  }
  const auto query = BoardQuery::read(words);
  if (!query) return fail(query.error());
  OUTCROP_CHECK(parts_.registry.save(group));
  return respond(to_json(group));
}

Result<http::Response> Api::remove_group(const std::string& name) {
  OUTCROP_TRY(removed, parts_.registry.remove_group(name));
  if (!removed) return fail(ErrorCode::not_found, "there is no group '" + name + "'");
  return respond({{"name", name}});
}

Result<Group> Api::find_group(Registry& registry, const std::string& name) {
  OUTCROP_TRY(all, registry.groups());
  for (Group& group : all) {
    if (group.name == name) return std::move(group);
  }
  return fail(ErrorCode::not_found, "there is no group '" + name + "' (outcrop fleet group list)");
}

Result<std::map<std::string, std::string>> Api::words_of_group(Registry& registry, const std::string& name) {
  OUTCROP_TRY(group, find_group(registry, name));
  return words_of(group.filter);
}

// What a rollout is for, by a group: only by what a board is, since health and rollouts change while it lasts.
Result<RolloutTarget> Api::target_of_group(const std::string& name, const std::string& model) {
  OUTCROP_TRY(words, words_of_group(parts_.registry, name));
  OUTCROP_TRY(query, BoardQuery::read(words));
  if (!query.health.empty() || !query.rollout.empty()) {
    return fail(ErrorCode::invalid_argument, "the group '" + name + "' is of boards by their health or rollout, which change while a release rolls "
                                             "out: a rollout is for a class, a tag or a part of the name");
  }
  if (!query.model.empty() && query.model != model) {
    return fail(ErrorCode::invalid_argument, "the group '" + name + "' is of boards for the model " + query.model + ", the release is of " + model);
  }
  RolloutTarget target;
  target.device_class = query.device_class;
  target.tag = query.tag;
  target.part_of_name = query.part_of_name;
  target.group = name;
  return target;
}

}  // namespace outcrop::fleet
