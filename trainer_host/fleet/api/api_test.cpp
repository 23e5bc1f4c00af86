#include "trainer_host/fleet/api/api.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "trainer_host/fleet/api/openapi.hpp"

namespace outcrop::fleet {
namespace {

using Call = std::tuple<std::string, std::string, std::string>;  // method, path, role

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

TEST(OpenApi, says_of_every_call_what_it_is_and_of_nothing_else) {
  const auto document = nlohmann::json::parse(openapi_document());
  EXPECT_EQ(document["openapi"], "3.1.0");
  std::set<Call> written;
  std::set<std::string> ids;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, call] : methods.items()) {
      written.emplace(upper(method), path, call["x-role"]);
      EXPECT_TRUE(ids.insert(call["operationId"]).second) << call["operationId"];
      EXPECT_TRUE(call["responses"].contains("default")) << path;
      // Each name in the path is a parameter, and each parameter of the path a name in it.
      std::size_t named = 0;
      for (const auto& parameter : call.value("parameters", nlohmann::json::array())) {
        if (parameter["in"] != "path") continue;
        ++named;
        EXPECT_NE(path.find("{" + parameter["name"].get<std::string>() + "}"), std::string::npos) << path;
      }
      EXPECT_EQ(named, static_cast<std::size_t>(std::count(path.begin(), path.end(), '{'))) << path;
    }
  }
  std::set<Call> served;
  for (const Api::Route& route : Api::routes()) {
    EXPECT_TRUE(served.emplace(route.method, route.path, to_string(route.role)).second) << route.path;
  }
  EXPECT_EQ(written, served);
}

// Every reference is to something that is there.
void check_references(const nlohmann::json& at, const nlohmann::json& document) {
  if (at.is_object() && at.contains("$ref")) {
    const std::string pointer = at["$ref"].get<std::string>().substr(1);
    EXPECT_TRUE(document.contains(nlohmann::json::json_pointer(pointer))) << pointer;
  }
  if (!at.is_structured()) return;
  for (const auto& below : at) check_references(below, document);
}

TEST(OpenApi, refers_to_what_it_has) {
  const auto document = nlohmann::json::parse(openapi_document());
  check_references(document, document);
}

TEST(Audited, says_what_was_done_to_what_and_no_secret) {
  const auto started = audited("POST", "/v1/rollouts", "/v1/rollouts", R"({"manifest": "3fa9"})", 201,
                               R"({"name": "stage2", "manifest": "3fa9c1"})");
  EXPECT_EQ(started.action, "rollout-started");
  EXPECT_EQ(started.subject, "stage2");
  const auto detail = nlohmann::json::parse(started.detail);
  EXPECT_EQ(detail["asked"]["manifest"], "3fa9");
  EXPECT_EQ(detail["status"], 201);
  const auto paused = audited("POST", "/v1/rollouts/{name}/{verb}", "/v1/rollouts/stage2/pause", "", 200,
                              R"({"name": "stage2"})");
  EXPECT_EQ(paused.action, "rollout-pause");
  const auto token = audited("POST", "/v1/tokens", "/v1/tokens", R"({"name": "ops", "role": "viewer"})", 201,
                             R"({"name": "ops", "token": "oct_secret"})");
  EXPECT_EQ(token.subject, "ops");
  EXPECT_EQ(token.detail.find("oct_secret"), std::string::npos);
  const auto strange = audited("POST", "/v1/measure", "/v1/measure", "no JSON", 200, "none");
  EXPECT_EQ(strange.subject, "/v1/measure");
}

}  // namespace
}  // namespace outcrop::fleet
