#include "trainer_host/fleet/api/api.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/api/openapi.hpp"
#include "trainer_host/fleet/api/paged.hpp"

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
      const std::string told = call.dump();
      EXPECT_EQ(told.find("Idempotency-Key") != std::string::npos, method == "post") << path;
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

TEST(OpenApi, says_which_words_a_query_has) {
  EXPECT_EQ(query_words("GET", "/v1/reports"), (std::set<std::string>{"after", "device", "limit", "manifest"}));
  EXPECT_TRUE(query_words("GET", "/v1/host").empty());
  EXPECT_TRUE(query_words("GET", "/v1/nothing").empty());
}

// What can be changed can be changed as it was seen.
TEST(OpenApi, says_that_what_has_an_etag_is_changed_by_it) {
  const auto document = nlohmann::json::parse(openapi_document());
  for (const Api::Route& route : Api::routes()) {
    std::string method = route.method;
    std::transform(method.begin(), method.end(), method.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::string told = document["paths"][route.path][method].dump();
    const bool changes = (route.resource || route.of_rollout) && route.method != "GET";
    EXPECT_EQ(told.find("If-Match") != std::string::npos, changes) << route.method << " " << route.path;
    const bool shows = (route.resource || route.of_rollout) && route.method == "GET";
    EXPECT_EQ(told.find("ETag\"") != std::string::npos, shows || route.path == "/v1/releases/{sha256}") << route.method << " " << route.path;
    const bool names_one = route.path.find("{name}") != std::string::npos || route.path.find("{keyid}") != std::string::npos;
    const bool drawn = route.path.find("/picture") != std::string::npos;  // by a board, and changed by nobody
    EXPECT_EQ(names_one && !drawn, route.resource || route.of_rollout) << route.path;
  }
}

TEST(Once, keeps_what_was_answered_and_names_what_is_being_answered) {
  const TemporaryFolder folder;
  const auto registry = open_sqlite_registry(folder.path() / "registry.sqlite");
  ASSERT_THAT(registry, IsOk());
  const SystemClock clock;
  Once once(**registry, clock);
  http::Request request;
  request.method = "POST";
  request.path = "/v1/tags";
  request.body = "{}";
  EXPECT_EQ(*repeatable("uid 0", request), std::nullopt);
  request.headers["idempotency-key"] = "\"a key\"";
  EXPECT_THAT(repeatable("uid 0", request), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("1 to 128 letters")));
  request.headers["idempotency-key"] = "\"k-1\"";
  const auto asked = *repeatable("uid 0", request);
  const auto of_another = *repeatable("uid 1", request);
  request.body = "{ }";
  const auto another = *repeatable("uid 0", request);
  ASSERT_TRUE(asked && of_another && another);
  {
    const Once::Place place(once, *asked);
    ASSERT_TRUE(once.answered(*asked));
    EXPECT_EQ(once.answered(*asked)->status, 409);
    EXPECT_EQ(once.answered(*of_another), std::nullopt);
  }
  EXPECT_EQ(once.answered(*asked), std::nullopt);
  bool undone = false;
  const auto carry_out = [&](const Result<http::Response>& answer) {
    return once.carry_out(*asked, [&] { return answer; }, [&] { undone = true; });
  };
  EXPECT_FALSE(carry_out(fail(ErrorCode::refused, "not now")));
  EXPECT_EQ(once.answered(*asked), std::nullopt) << "what was refused may be asked again";
  EXPECT_THAT(carry_out(http::Response{201, "application/json", R"({"name": "x", "token": "oct_secret"})"}), IsOk());
  ASSERT_TRUE(once.answered(*asked));
  EXPECT_EQ(once.answered(*asked)->status, 201);
  EXPECT_EQ(once.answered(*asked)->body, R"({"name":"x","token":null})");
  EXPECT_EQ(once.answered(*another)->status, 422);
  EXPECT_FALSE(undone);
  // Where the commit fails, nothing was answered.
  EXPECT_FALSE(carry_out(http::Response{200, "application/json", "{}"})) << "its key is there already";
  EXPECT_TRUE(undone);
}

TEST(ListPage, holds_every_row_once_also_where_new_ones_come) {
  const auto name_of = [](const std::string& one) { return one; };
  const auto ask = [&](std::vector<std::string> all, std::map<std::string, std::string> words) {
    http::Request request;
    request.query = std::move(words);
    return page_of(std::move(all), request, name_of);
  };
  EXPECT_EQ(ask(std::vector<std::string>(250, "a"), {})->rows.size(), 100U) << "never all of them at once";
  EXPECT_EQ(ask({"c", "b", "a"}, {})->rows.size(), 3U);
  EXPECT_EQ(ask({"c", "b", "a"}, {})->after, "");
  const auto first = ask({"c", "b", "a"}, {{"limit", "2"}});
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->rows, (std::vector<std::string>{"c", "b"}));
  const auto second = ask({"d", "c", "b", "a"}, {{"limit", "2"}, {"after", first->after}});
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->rows, std::vector<std::string>{"a"});
  EXPECT_EQ(second->after, "");
  EXPECT_TRUE(ask({}, {{"limit", "1"}})->rows.empty());
  EXPECT_THAT(ask({"a"}, {{"after", "z"}}), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("no cursor")));
  for (const char* limit : {"0", "1001", "-1", "x"}) {
    EXPECT_THAT(ask({"a"}, {{"limit", limit}}), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("1 to 1000")));
  }
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
