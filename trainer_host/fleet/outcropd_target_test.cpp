#include <gtest/gtest.h>

#include <set>

#include "tests/support/shell.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

// Which boards a rollout is for, and when: tags, groups, schedules.

namespace outcrop::fleet {
namespace {

using nlohmann::json;

std::set<std::string> names_of(const json& devices) {
  std::set<std::string> names;
  for (const json& device : devices["devices"]) names.insert(device["name"]);
  return names;
}

TEST_F(OutcropdTest, a_rollout_for_a_group_brings_its_release_to_those_boards_and_to_who_joins_them) {
  start();
  const std::string manifest = publish(1);
  std::vector<std::unique_ptr<ScriptedBoard>> boards;
  for (const char* name : {"one", "two", "three"}) {
    boards.push_back(enroll(name));
    boards.back()->connect();
  }
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 3; }));
  EXPECT_EQ(post("/v1/tags", {{"tag", "lab"}, {"devices", json::array({"one", "two"})}})["changed"], json::array({"one", "two"}));
  EXPECT_TRUE(post("/v1/tags", {{"tag", "lab"}, {"devices", json::array({"two"})}})["changed"].empty()) << "it has it";
  call("PUT", "/v1/groups/lab-boards", {{"filter", "tag=lab&class=raspberry-pi-4"}});
  EXPECT_EQ(get("/v1/groups")["groups"][0]["filter"], "tag=lab&class=raspberry-pi-4");
  const auto put = [&](const std::string& header) {
    return run_shell("curl -s -o /dev/null -w '%{http_code}' -X PUT --unix-socket " + socket_.string() + " -H '" + header +
                     "' -d '{\"filter\": \"tag=roof\"}' http://local/v1/groups/lab-boards").output;
  };
  EXPECT_EQ(put("If-None-Match: *"), "412") << "there is one";
  EXPECT_EQ(put("If-Match: \"of-before\""), "412");
  const std::string head = run_shell("curl -s -I --unix-socket " + socket_.string() + " http://local/v1/groups/lab-boards").output;
  const std::size_t tag = head.find("ETag: ") + 6;
  const std::string etag = head.substr(tag, head.find('\r', tag) - tag);
  ASSERT_EQ(etag.size(), 34U) << head;
  for (const std::string& other : {"junk" + etag + "junk", etag + etag, "W/" + etag, "\"a" + etag.substr(1), std::string(",")}) {
    EXPECT_EQ(put("If-Match: " + other), "412") << other;
  }
  const auto got = [&](const std::string& header) {
    return run_shell("curl -s -o /dev/null -w '%{http_code}' --unix-socket " + socket_.string() + " -H 'If-None-Match: " + header +
                     "' http://local/v1/groups/lab-boards").output;
  };
  EXPECT_EQ(got("\"a\", W/" + etag), "304");
  EXPECT_EQ(got("junk" + etag), "200");
  EXPECT_EQ(get("/v1/groups/lab-boards")["filter"], "tag=lab&class=raspberry-pi-4");
  // As it is, and back.
  EXPECT_EQ(put("If-Match: \"a\" , " + etag), "200");
  call("PUT", "/v1/groups/lab-boards", {{"filter", "tag=lab&class=raspberry-pi-4"}});
  EXPECT_EQ(names_of(get("/v1/devices?group=lab-boards")), (std::set<std::string>{"one", "two"}));
  EXPECT_EQ(names_of(get("/v1/devices?tag=lab&q=tw")), (std::set<std::string>{"two"}));
  EXPECT_EQ(get("/v1/devices/one")["tags"], json::array({"lab"}));
  const json started = post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}, {"group", "lab-boards"}, {"objective", "memory"}}, 201);
  EXPECT_EQ(started["objective"], "memory_mb");
  EXPECT_EQ(get("/v1/audit?action=rollout-started")["entries"][0]["detail"]["asked"]["objective"], "memory");
  EXPECT_EQ(started["target"]["words"], "boards of the class raspberry-pi-4 with the tag lab (group lab-boards)");
  ASSERT_TRUE(rollout_is("r", "done"));
  EXPECT_NE(get("/v1/rollouts/r")["reason"].get<std::string>().find("least memory_mb within the budget"), std::string::npos);
  const json best = get("/v1/best?objective=size&class=raspberry-pi-4");
  ASSERT_EQ(best["classes"].size(), 1U);
  EXPECT_EQ(best["classes"][0]["boards"], 3);
  EXPECT_EQ(best["classes"][0]["incumbent"]["manifest"], manifest);
  EXPECT_TRUE(get("/v1/best?class=toaster")["classes"].empty());
  EXPECT_FALSE(boards[0]->offers().empty());
  EXPECT_FALSE(boards[1]->offers().empty());
  EXPECT_TRUE(boards[2]->offers().empty());
  post("/v1/tags", {{"tag", "lab"}, {"devices", json::array({"three"})}});
  EXPECT_TRUE(until([&] { return !boards[2]->offers().empty(); }));
  // Who lost the tag keeps what it serves, and is asked for no more.
  post("/v1/tags", {{"tag", "lab"}, {"devices", json::array({"one"})}, {"remove", true}});
  EXPECT_EQ(names_of(get("/v1/devices?tag=lab")), (std::set<std::string>{"three", "two"}));
  EXPECT_TRUE(boards[0]->cancels().empty());
}

TEST_F(OutcropdTest, a_rollout_waits_for_its_start_and_skips_a_ring_when_it_widens) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const json waits = post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}, {"starts", "2099-01-01T00:00:00Z"}, {"windows", "22:00-04:00"}, {"share", 1}}, 201);
  EXPECT_EQ(waits["reason"], "starts at 2099-01-01T00:00:00Z");
  EXPECT_EQ(waits["windows"], "22:00-04:00");
  post("/v1/rollouts/r/skip-ring", {}, 409);
  EXPECT_TRUE(board->offers().empty());
}

TEST_F(OutcropdTest, refuses_bad_tags_groups_and_targets_by_name) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  post("/v1/tags", {{"tag", "Lab!"}, {"devices", json::array({"board"})}}, 400);
  post("/v1/tags", {{"tag", "lab"}, {"devices", json::array({"board", "nobody"})}}, 404);
  EXPECT_TRUE(get("/v1/devices/board")["tags"].empty()) << "all of them or none";
  for (int i = 0; i < 32; ++i) post("/v1/tags", {{"tag", "t" + std::to_string(i)}, {"devices", json::array({"board"})}});
  post("/v1/tags", {{"tag", "t32"}, {"devices", json::array({"board"})}}, 400);
  call("PUT", "/v1/groups/g", {{"filter", "colour=red"}}, 400);
  call("PUT", "/v1/groups/g", {{"filter", "tag"}}, 400);
  call("PUT", "/v1/groups/g", {{"filter", "tag=a&sort=p90"}}, 400);
  call("PUT", "/v1/groups/G!", {{"filter", "tag=a"}}, 400);
  call("DELETE", "/v1/groups/g", nullptr, 404);
  call("GET", "/v1/devices?group=g", nullptr, 404);
  call("PUT", "/v1/groups/failed", {{"filter", "health=failed"}});
  const auto refused = [&](json more, int status) {
    more["manifest"] = manifest;
    return post("/v1/rollouts", more, status)["error"]["message"].get<std::string>();
  };
  EXPECT_NE(refused({{"group", "failed"}}, 400).find("change while a release rolls out"), std::string::npos);
  EXPECT_NE(refused({{"group", "none"}}, 404).find("no group 'none'"), std::string::npos);
  EXPECT_NE(refused({{"tag", "roof"}}, 409).find("among boards with the tag roof"), std::string::npos);
  EXPECT_NE(refused({{"tag", "roof"}, {"canaries", json::array({"board"})}}, 400).find("none of those that the rollout is for"), std::string::npos);
  EXPECT_NE(refused({{"windows", "22-4"}}, 400).find("22:00-04:00 (UTC)"), std::string::npos);
  EXPECT_NE(refused({{"objective", "p99"}}, 400).find("one of p90_ms, p50_ms, memory_mb, size, error"), std::string::npos);
  const auto no_best = call("GET", "/v1/best?objective=p99", nullptr, 400)["error"]["message"].get<std::string>();
  EXPECT_NE(no_best.find("one of p90_ms, p50_ms, memory_mb, size, error"), std::string::npos);
  call("GET", "/v1/best?colour=red", nullptr, 400);
  refused({{"share", 0}}, 400);
  refused({{"a_minute", -1}}, 400);
}

}  // namespace
}  // namespace outcrop::fleet
