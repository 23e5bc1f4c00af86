#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

// outcropd and its state folder: backups, disks, other programs.

namespace outcrop::fleet {
namespace {

using nlohmann::json;

// What was done since is neither undone by it nor in its way.
TEST_F(OutcropdTest, an_older_backup_that_comes_back_offers_nothing_old_and_goes_on_when_told) {
  start();
  auto stolen = enroll("stolen");
  auto board = enroll("board");
  board->connect();
  post("/v1/rollouts", {{"name", "r1"}, {"manifest", publish(1)}, {"canaries", {"board"}}}, 201);
  stolen->connect();
  ASSERT_TRUE(rollout_is("r1", "done"));
  const std::string copy = (home_ / "copy").string();
  ASSERT_EQ(run({"backup", copy, "--config", config_.string()}), 0) << output_;
  post("/v1/rollouts", {{"name", "r2"}, {"manifest", publish(2)}, {"canaries", {"board"}}}, 201);
  ASSERT_TRUE(rollout_is("r2", "done"));
  board->status().snapshot_version = get("/v1/host")["snapshot_version"];
  stolen->disconnect();
  const std::string list = revoke_certificate("stolen");
  post("/v1/devices/stolen/revoke", {{"reason", "stolen"}, {"crl", list}});
  kill(SIGTERM);
  std::filesystem::remove_all(home_ / "state");
  std::filesystem::rename(copy, home_ / "state");

  const std::size_t offers = board->offers().size();
  devices_.reset();  // nobody has brought its list yet
  start();
  // The word of one of two holds that one alone.
  ASSERT_TRUE(until([&] { return get("/v1/host")["attention"].dump().find("nobody but board says") != std::string::npos; }));
  EXPECT_TRUE(get("/v1/host")["older_than_fleet"].is_null());
  stolen->connect();
  ASSERT_TRUE(until([&] { return !get("/v1/host")["older_than_fleet"].is_null(); }));
  EXPECT_EQ(get("/v1/host")["online"], 2);
  const std::string third = publish(3);
  EXPECT_NE(post("/v1/rollouts", {{"name", "r3"}, {"manifest", third}}, 409).dump().find("adopt"),
            std::string::npos);
  // The list of its authority is remembered, and can be brought again by anybody.
  post("/v1/device-authority",
       {{"authority", *read_text_file(home_ / "authority/authority.pem")}, {"crl", list}});
  ASSERT_TRUE(until([&] { return !stolen->connected(); }));
  EXPECT_EQ(get("/v1/host")["devices"], 1);
  const json again =
      post("/v1/devices/stolen/revoke", {{"reason", "said again"}, {"crl", list}});
  EXPECT_EQ(again["revoked_reason"], "said again");
  EXPECT_EQ(post("/v1/devices/never-heard-of/revoke", {{"reason", "x"}, {"crl", list}})["known"],
            false);

  EXPECT_EQ(board->offers().size(), offers);
  post("/v1/host/adopt", nullptr);
  const auto version = get("/v1/host")["snapshot_version"].get<std::uint64_t>();
  EXPECT_GT(version, board->status().snapshot_version);
  post("/v1/rollouts", {{"name", "r3"}, {"manifest", third}}, 201);
  ASSERT_TRUE(rollout_is("r3", "done"));
  EXPECT_EQ(board->offers().size(), offers + 1);
  EXPECT_EQ(board->offers().back().manifest.hex(), third);
  EXPECT_GE(board->offers().back().snapshot_version, version);
}

TEST_F(OutcropdTest, a_blob_that_its_disk_damaged_is_taken_again_when_its_release_is_published) {
  start();
  const std::string manifest = publish(1);
  const auto blob = home_ / "state/blobs" / manifest.substr(0, 2) / manifest;
  std::fstream(blob, std::ios::in | std::ios::out).put('x');
  EXPECT_EQ(get("/v1/blobs/" + manifest)["have"], false);
  EXPECT_EQ(get("/v1/blobs/" + manifest)["bytes"], 0);
  EXPECT_FALSE(std::filesystem::exists(blob));
}

TEST_F(OutcropdTest, a_second_one_on_the_same_state_is_refused) {
  start();
  EXPECT_EQ(run({"--config", config_.string()}), 1);
  EXPECT_NE(output_.find("another outcropd"), std::string::npos) << output_;
  EXPECT_EQ(get("/v1/host")["devices"], 0);
}

TEST_F(OutcropdTest, refuses_files_that_are_missing_or_mixed_up_before_it_starts_and_at_its_start) {
  const auto refuses = [&](const std::string& broker, const std::string& why) {
    write_config(broker);
    const std::vector<std::string> start{"--config", config_.string()};
    const std::vector<std::string> check{"--config", config_.string(), "--check-config"};
    for (const auto& arguments : {check, start}) {
      EXPECT_EQ(run(arguments), 1) << output_;
      EXPECT_NE(output_.find(why), std::string::npos) << output_;
    }
  };
  const std::string port = "[broker]\nport = " + std::to_string(free_port()) + "\n";
  EXPECT_EQ(run({"--config", config_.string(), "--check-config"}), 0) << output_;
  refuses(port + "program = \"/nowhere/mosquitto\"\n", "no MQTT broker at /nowhere/mosquitto");

  const auto online = keys_ / "online";
  std::filesystem::rename(online / "timestamp.key", online / "kept.key");
  std::filesystem::rename(online / "snapshot.key", online / "timestamp.key");
  std::filesystem::rename(online / "kept.key", online / "snapshot.key");
  refuses(port, (online / "timestamp.key").string() +
                    ": root 1 names another key for the role timestamp, and this one is that of "
                    "snapshot");
  std::filesystem::remove(keys_ / "metadata/1.root.json");
  refuses(port, "1.root.json: No such file or directory");
}

TEST_F(OutcropdTest, does_not_begin_anew_where_the_disk_of_its_state_is_not_mounted) {
  const std::string table = (home_ / "fstab").string();
  ASSERT_TRUE(write_file_durably(
      table, "/dev/sdz1 " + (home_ / "state").string() + " ext4 defaults 0 2\n"));
  const std::string here =
      "unshare -rm sh -c 'mount --bind " + table + " /etc/fstab && exec \"$@\"' sh ";
  if (run_shell(here + "true").code != 0) GTEST_SKIP() << "no mount namespace can be had here";
  for (const char* how : {"", " --check-config"}) {
    const ShellOutcome outcome =
        run_shell(here + OUTCROP_BIN "/outcropd --config " + config_.string() + how);
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    EXPECT_NE(outcome.output.find("nothing is mounted there: mount it first"), std::string::npos)
        << outcome.output;
  }
  EXPECT_FALSE(std::filesystem::exists(home_ / "state"));
}

TEST_F(OutcropdTest, a_backup_made_while_it_runs_serves_in_its_place) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("r", "done"));
  const std::string copy = (home_ / "copy").string();
  ASSERT_EQ(run({"backup", copy, "--config", config_.string()}), 0) << output_;
  EXPECT_EQ(run({"backup", copy, "--config", config_.string()}), 1);  // never overwritten
  // What happens to one leaves the other as it is.
  const auto blob = std::filesystem::path("blobs") / manifest.substr(0, 2) / manifest;
  EXPECT_EQ(std::filesystem::hard_link_count(copy / blob), 1U);
  std::fstream(home_ / "state" / blob, std::ios::in | std::ios::out).put('x');
  ASSERT_EQ(run({"backup", copy + "-2", "--config", config_.string()}), 0) << output_;
  EXPECT_NE(output_.find(blob.string() + ", which is damaged"), std::string::npos) << output_;
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(copy + "-2") / blob));
  kill(SIGTERM);
  std::filesystem::remove_all(home_ / "state");
  std::filesystem::rename(copy, home_ / "state");
  start();
  // The board trusts the restored broker, and the host knows the board.
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "done");
  EXPECT_EQ(get("/v1/blobs/" + manifest)["have"], true);
  const json reports = get("/v1/reports")["reports"];
  ASSERT_FALSE(reports.empty());
  // Page after page, each once; a cursor is of the list that it came from.
  json paged = json::array();
  std::string after;
  do {
    const json page = get("/v1/reports?limit=1" + (after.empty() ? "" : "&after=" + after));
    paged.insert(paged.end(), page["reports"].begin(), page["reports"].end());
    after = page["after"].is_null() ? "" : page["after"].get<std::string>();
    if (!after.empty()) call("GET", "/v1/reports?device=board&after=" + after, nullptr, 400);
  } while (!after.empty());
  EXPECT_EQ(paged, reports);
}

TEST_F(OutcropdTest, ends_where_its_database_is_replaced_and_answers_nothing_from_the_old_one) {
  start();
  publish(1);
  const std::string copy = (home_ / "copy").string();
  ASSERT_EQ(run({"backup", copy, "--config", config_.string()}), 0) << output_;
  std::filesystem::remove_all(home_ / "state");
  for (const char* target : {"/v1/releases", "/"}) {
    const auto answer = http::call(socket_, {"GET", target});
    if (!answer) continue;  // it has ended already
    EXPECT_EQ(answer->status, 503) << target;
    EXPECT_NE(answer->body.find("was removed under outcropd"), std::string::npos) << answer->body;
    const ShellOutcome seen = run_shell("curl -s -i --unix-socket " + socket_.string() + " http://local" + target);
    EXPECT_TRUE(seen.code != 0 || seen.output.find("Retry-After: 5") != std::string::npos) << seen.output;
  }
  kill(0);  // waits for its end, which it comes to by itself
  std::filesystem::rename(copy, home_ / "state");
  start();
  EXPECT_EQ(get("/v1/releases")["releases"].size(), 1U);
}

}  // namespace
}  // namespace outcrop::fleet
