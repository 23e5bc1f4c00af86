#include "trainer_host/fleet/api/audited.hpp"

#include <map>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

const std::map<std::string, std::string>& actions() {
  static const std::map<std::string, std::string> all{
      {"POST /v1/host/adopt", "state-adopted"},
      {"POST /v1/device-authority", "authority-added"},
      {"POST /v1/device-authorities/{keyid}/remove", "authority-removed"},
      {"POST /v1/devices", "enrolled"},
      {"POST /v1/devices/{name}/revoke", "revoked"},
      {"POST /v1/devices/{name}/certificate", "certificate-given"},
      {"POST /v1/releases", "release-published"},
      {"POST /v1/metadata", "metadata-published"},
      {"POST /v1/rollouts", "rollout-started"},
      {"POST /v1/measure", "measure-asked"},
      {"POST /v1/pictures", "picture-asked"},
      {"POST /v1/broker/move", "broker-moved"},
      {"POST /v1/tags", "tagged"},
      {"POST /v1/changes/acknowledge", "change-acknowledged"},
      {"PUT /v1/groups/{name}", "group-saved"},
      {"DELETE /v1/groups/{name}", "group-removed"},
      {"POST /v1/tokens", "token-added"},
      {"DELETE /v1/tokens/{name}", "token-removed"}};
  return all;
}

std::string text_of(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Audited audited(const std::string& method, const std::string& route, const std::string& path,
                const std::string& body, unsigned status, const std::string& answer) {
  Audited entry;
  const std::string call = method + " " + route;
  const auto known = actions().find(call);
  entry.action = known == actions().end() ? "api" : known->second;
  const auto answered = nlohmann::json::parse(answer, nullptr, false);
  const std::string name = text_of(answered, "name");
  const std::string manifest = text_of(answered, "manifest");
  const std::string keyid = text_of(answered, "keyid");
  entry.subject = !name.empty() ? name : !manifest.empty() ? manifest : !keyid.empty() ? keyid : path;
  if (call == "POST /v1/rollouts/{name}/{verb}") entry.action = "rollout-" + path.substr(path.rfind('/') + 1);
  nlohmann::json detail{{"call", method + " " + path}, {"status", status}};
  if (body.size() <= longest_audited_body) {
    const auto asked = nlohmann::json::parse(body, nullptr, false);
    if (asked.is_object()) detail["asked"] = asked;
  }
  if (!manifest.empty()) detail["manifest"] = manifest;
  entry.detail = json_text(detail);
  return entry;
}

}  // namespace outcrop::fleet
