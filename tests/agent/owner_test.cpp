// What a board's owner may do, by the verbs of outcrop-agent.

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "agent/enroll/identity.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/hex.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/certificate.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

class OwnerTest : public AgentTest {
 protected:
  // The verb runs beside the loop: the agent must be able to speak to its broker meanwhile.
  ShellOutcome says(const std::string& verb) {
    return agent_says(verb + " --config " + config_.string());
  }
  const std::string owner_ = "owner (uid " + std::to_string(::getuid()) + ")";
};

TEST_F(OwnerTest, generates_samples_with_what_serves) {
  agent_is_online();
  const std::string file = (folder_.path() / "map.safetensors").string();
  const ShellOutcome nothing = says("infer --out " + file);
  EXPECT_EQ(nothing.code, 1);
  EXPECT_THAT(nothing.output, HasSubstr("no release serves on this board yet"));
  first_release();
  const ShellOutcome written = says("infer --seed 7 --count 2 --out " + file);
  EXPECT_EQ(written.code, 0) << written.output;
  EXPECT_THAT(written.output, HasSubstr("velocity float32 [2, 1, 3, 3]"));
  const auto tensors = runtime::read_tensor_file(file);
  ASSERT_THAT(tensors, IsOk());
  ASSERT_EQ(tensors->size(), 1U);
  EXPECT_EQ(tensors->at(0).name, "velocity");
  EXPECT_EQ(tensors->at(0).floats()[0], 7000.0F);
  EXPECT_EQ(tensors->at(0).floats()[9], 8000.0F);
  EXPECT_EQ(says("infer --count 0 --out " + file).code, 2);
}

TEST_F(OwnerTest, is_told_what_the_release_takes) {
  agent_is_online();
  first_release();
  const std::string file = (folder_.path() / "map.npy").string();
  EXPECT_EQ(says("infer --set seed=7 --out " + file).code, 0);
  const auto array = runtime::decode_npy(*read_file(file, ByteCount::mib(1)));
  ASSERT_THAT(array, IsOk());
  EXPECT_EQ(array->shape, (std::vector<std::int64_t>{1, 1, 3, 3}));
  EXPECT_EQ(array->floats()[0], 7000.0F);

  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const ShellOutcome outcome = says("infer --out " + file + " " + arguments);
    EXPECT_NE(outcome.code, 0) << arguments;
    EXPECT_THAT(outcome.output, HasSubstr(why));
  };
  refused("--count 257", "'batch_size' is 257, outside its range");
  refused("--set temperature=2", "the release serves forward(batch_size: int 1 to 256, seed: int = 0)");
  refused("--set temperature", "it must be NAME=VALUE");
  refused("--in " + file, "it takes no tensor");
  ASSERT_THAT(write_file_durably(file, std::string_view("nothing")), IsOk());
  refused("--in " + file, "map.npy");
  // A grey pixel.
  const Bytes png = *from_hex(
      "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a494441"
      "54789c63a8070000810080d394534a0000000049454e44ae426082");
  const std::string image = (folder_.path() / "image.png").string();
  ASSERT_THAT(write_file_durably(image, BytesView(png)), IsOk());
  refused("--in " + image, "it takes no tensor");
  ASSERT_THAT(write_file_durably(image, BytesView(png).first(50)), IsOk());
  refused("--in " + image, "image.png: the PNG file is damaged or cut short");
}

std::uint16_t free_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  return ntohs(address.sin_port);
}

TEST_F(OwnerTest, is_answered_by_the_open_inference_protocol) {
  const std::string port = std::to_string(free_port());
  configure("[serve]\nport = " + port + "\n");
  agent_is_online();
  const auto ask = [&](const std::string& target, const std::string& body = "") {
    http::Call call{.method = body.empty() ? "GET" : "POST", .target = target};
    call.body = body;
    return http::call(folder_.path() / "agent.sock", call).value();
  };
  EXPECT_EQ(ask("/v2/health/live").status, 200);
  EXPECT_EQ(ask("/v2/health/ready").status, 503);
  EXPECT_EQ(ask("/v2/models/curvefault/ready").status, 503);
  first_release();
  EXPECT_EQ(ask("/v2/health/ready").status, 200);
  const std::string body =
      R"({"inputs": [{"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]}]})";
  const auto made = ask("/v2/models/curvefault/versions/1/infer", body);
  EXPECT_EQ(made.status, 200);
  EXPECT_EQ(nlohmann::json::parse(made.body)["outputs"][0]["data"][0], 7000.0);
  EXPECT_EQ(ask("/v2/models/curvefault/versions/2/infer", body).status, 404);
  EXPECT_EQ(ask("/v2/models/other").status, 404);
  EXPECT_EQ(ask("/v2/models/curvefault/infer", "{}").status, 400);
  // Long ones are read beside the loop.
  EXPECT_EQ(ask("/v2/models/curvefault/infer", body + std::string(100'000, ' ')).status, 200);
  EXPECT_EQ(ask("/v2/models/curvefault/infer", body + std::string(100'000, 'x')).status, 400);
  const std::string tcp = "curl --silent --write-out '%{http_code}' http://127.0.0.1:" + port;
  EXPECT_THAT(run_shell(tcp + "/v2/health/ready").output, HasSubstr("200"));
  EXPECT_THAT(run_shell(tcp + "/v1/status").output, HasSubstr("404")) << "the owner's alone";
  EXPECT_THAT(run_shell(tcp + "/v2 --header 'Origin: http://page.example'").output, HasSubstr("403"));

  const std::string python = OUTCROP_SOURCE "/build/inference-tools/bin/python";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << "no public client here: script/inference-tools";
  const ShellOutcome client = run_shell(python + " " OUTCROP_SOURCE "/tests/agent/inference/client.py 127.0.0.1:" + port);
  EXPECT_EQ(client.code, 0) << client.output;
}

TEST_F(OwnerTest, loses_no_call_while_another_release_takes_over) {
  agent_is_online();
  first_release();
  std::atomic<bool> enough = false;
  std::atomic<int> answered = 0;
  std::vector<std::string> failures;
  std::chrono::milliseconds longest{0};
  std::thread asking([&] {
    while (!enough) {
      const auto begun = std::chrono::steady_clock::now();
      http::Call call{.method = "POST", .target = "/v2/models/curvefault/infer"};
      call.body = R"({"inputs": [{"name": "seed", "shape": [1], "datatype": "INT64", "data": [7]}]})";
      const auto answer = http::call_ok(folder_.path() / "agent.sock", call);
      if (!answer) failures.push_back(answer.error().message());
      const auto took = std::chrono::steady_clock::now() - begun;
      longest = std::max(longest, std::chrono::duration_cast<std::chrono::milliseconds>(took));
      ++answered;
    }
  });
  constexpr std::chrono::milliseconds loading{4000};
  const ForgedRelease second = released({.stage = 2, .variants = {{.load_ms = loading.count()}}});
  ASSERT_TRUE(loop_.until([&] { return answered > 0; }));  // what serves is loaded
  host_.send(host_.offer(second, 2, forge_));
  const auto* report = ends(2, State::updated);
  const int before = answered;
  loop_.until([&] { return answered > before + 5; });
  enough = true;
  asking.join();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, second.manifest);
  EXPECT_THAT(failures, ::testing::IsEmpty());
  EXPECT_LT(longest, loading) << "none waits for it to load";
  RecordProperty("longest_call_ms", std::to_string(longest.count()));
}

TEST_F(OwnerTest, is_served_by_the_socket_where_the_port_is_taken) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(fd.get(), 1), 0);
  ASSERT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  configure("[serve]\nport = " + std::to_string(ntohs(address.sin_port)) + "\n");
  agent_is_online();
  EXPECT_THAT(says("status").output, HasSubstr("no inference by TCP"));
}

TEST_F(OwnerTest, holds_updates_back_and_approves_one) {
  agent_is_online();
  first_release();
  EXPECT_EQ(says("approve").code, 1);
  EXPECT_EQ(says("hold").code, 0);
  ASSERT_TRUE(loop_.until([&] { return host_.status()->held; }));
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_TRUE(reaches(2, State::held));
  EXPECT_THAT(host_.status()->deployment->reason, HasSubstr("holds updates"));
  EXPECT_EQ(end_agent(), 0);  // a hold outlives the agent
  agent_is_online();
  EXPECT_TRUE(host_.at(2, State::held));
  EXPECT_TRUE(host_.status()->held);
  const ShellOutcome approved = says("approve");
  EXPECT_EQ(approved.code, 0) << approved.output;
  EXPECT_NE(ends(2, State::updated), nullptr);
  EXPECT_EQ(says("hold --off").code, 0);
  ASSERT_TRUE(loop_.until([&] { return !host_.status()->held; }));
}

TEST_F(OwnerTest, is_asked_about_every_update_where_the_configuration_says_so) {
  configure("[owner]\nupdates = \"approve\"\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  ASSERT_TRUE(reaches(1, State::held));
  EXPECT_THAT(host_.status()->deployment->reason, HasSubstr("outcrop-agent approve"));
  EXPECT_EQ(says("approve").code, 0);
  EXPECT_NE(ends(1, State::updated), nullptr);
}

TEST_F(OwnerTest, rolls_back_what_serves_and_what_is_under_way) {
  agent_is_online();
  const ForgedRelease first = first_release();
  EXPECT_EQ(says("rollback").code, 1);  // nothing to return to
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  const ShellOutcome rolled_back = says("rollback");
  EXPECT_EQ(rolled_back.code, 0) << rolled_back.output;
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->reason, owner_ + " rolled back");
  EXPECT_EQ(report->active_manifest, first.manifest);

  const ForgedRelease third = released({.stage = 3});
  auto offer = host_.offer(third, 3, forge_);
  offer.soak = std::chrono::hours(1);
  host_.send(offer);
  ASSERT_TRUE(reaches(3, State::soaking));
  EXPECT_EQ(says("rollback").code, 0);
  const auto* ended = ends(3, State::rolled_back);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->active_manifest, first.manifest);
}

TEST_F(OwnerTest, installs_a_release_without_the_host_which_hears_of_it_and_has_the_last_word) {
  configure("[broker]\nport = 1\n");  // where nobody listens
  start_agent();
  const ForgedRelease first = Forge::make_release({.stage = 1});
  forge_.permit(first);
  const std::string folder = carried(first).string();
  ASSERT_TRUE(loop_.until([&] { return says("status").code == 0; }));
  const ShellOutcome installed = says("install " + folder + " --soak 5 --json --no-wait");
  ASSERT_EQ(installed.code, 0) << installed.output;
  ASSERT_TRUE(loop_.until([&] { return written_state() == "0 SOAKING"; }));
  EXPECT_THAT(says("install " + folder).output, HasSubstr("an update is at work (rollout by-hand)"));
  kill_agent();  // and it goes on
  configure();
  start_agent();
  const auto* report = ends(1, State::updated, std::chrono::seconds(120));
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->deployment.rollout, "by-hand");
  EXPECT_EQ(report->active_manifest, first.manifest);
  ASSERT_FALSE(report->variants.empty());
  EXPECT_TRUE(report->variants[0].measurement.has_value());
  EXPECT_EQ(host_.status()->generation, 0U);
  EXPECT_TRUE(host_.asked_for.empty());

  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 1, forge_));  // a number that the board has not seen
  ASSERT_TRUE(loop_.until([&] { return host_.status()->generation == 1 && host_.status()->active_manifest == second.manifest; },
                          std::chrono::seconds(60)));
}

TEST_F(OwnerTest, installs_nothing_that_it_would_not_install_by_the_network) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const auto refuses = [&](const std::string& folder, const std::string& why) {
    const ShellOutcome outcome = says("install " + folder + " 2>&1");
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    EXPECT_THAT(outcome.output, HasSubstr(why));
    EXPECT_THAT(says("status").output, HasSubstr("serves       int8-qint8 of release " + first.manifest.short_hex()));
  };
  const ForgedRelease unknown = Forge::make_release({.stage = 2});
  refuses(carried(unknown).string(), "does not permit the manifest");

  forge_.permit(unknown);
  const std::filesystem::path folder = carried(unknown);
  const auto blob = folder / "blobs" / unknown.variants.at("int8-qint8").sha256.hex();
  const std::string good = *read_text_file(blob);
  std::string bad = good;
  bad[bad.size() / 2] ^= 1;
  std::filesystem::remove(folder / "metadata" / "timestamp.json");
  refuses(folder.string(), "outcrop release export");
  carried(unknown);
  ASSERT_THAT(write_file_durably(blob, std::string_view(bad)), IsOk());
  refuses(folder.string(), "FAILED");
  ASSERT_THAT(write_file_durably(blob, std::string_view(good).substr(1)), IsOk());
  refuses(folder.string(), "is missing or cut short");
  ASSERT_THAT(write_file_durably(blob, std::string_view(good)), IsOk());
  std::filesystem::remove(folder / "blobs" / unknown.manifest.hex());
  refuses(folder.string(), "no manifest");
  std::filesystem::create_directory(folder_.path() / "empty");
  refuses((folder_.path() / "empty").string(), "metadata/ and blobs/");

  ForgedRelease wrong = Forge::make_release({.stage = 3, .variants = {{.offset = 500}}});
  forge_.permit(wrong);
  refuses(carried(wrong).string(), "is off by");
}

// The agent begins again by itself, twice; it is killed there as well.
TEST_F(OwnerTest, has_the_board_take_a_new_key_which_it_uses_once_the_host_knows_it) {
  agent_is_online();
  const ForgedRelease first = first_release();  // and its metadata, by which the host's word counts
  const trust::PublicKey old_key = host_.board_key;
  const ShellOutcome begun = says("enroll renew");
  ASSERT_EQ(begun.code, 0) << begun.output;
  ASSERT_TRUE(loop_.until([&] { return !host_.renewals.empty(); }));
  EXPECT_EQ(host_.renewals.back().certificate, "");
  EXPECT_THAT(says("status").output, HasSubstr("outcrop device renew"));
  kill_agent();
  host_.renewals.clear();
  agent_is_online();
  ASSERT_TRUE(loop_.until([&] { return !host_.renewals.empty(); })) << "it asks again";
  const auto next_key = trust::read_certificate_request(host_.renewals.back().certificate_request);
  ASSERT_THAT(next_key, IsOk());
  EXPECT_NE(*next_key, old_key);

  const auto issue = [&](const std::string& name, const trust::PublicKey& key) {
    return broker_.devices().issue({name, {}, pki::Authority::Usage::client}, key).value();
  };
  host_.send(messages::Certificate{issue("pi-2", *next_key)});
  host_.send(messages::Certificate{issue("pi-1", old_key)});
  host_.renewals.clear();
  const std::string certificate = issue("pi-1", *next_key);
  host_.send(messages::Certificate{certificate});
  ASSERT_TRUE(loop_.until([&] { return !host_.renewals.empty() && host_.renewals.back().certificate == certificate; }))
      << "it has connected by it, and neither by another board's nor by one of the old key";
  kill_agent();
  host_.renewals.clear();
  agent_is_online();
  ASSERT_TRUE(loop_.until([&] { return !host_.renewals.empty(); })) << "it tells again, signed by the old key";
  const auto& said = host_.renewals.back().header;
  const std::size_t statuses = host_.statuses.size();
  host_.send(messages::Acknowledgement{{{said.session, said.sequence}}});
  host_.board_key = *next_key;
  const std::size_t signed_before = host_.signed_statuses;
  ASSERT_TRUE(loop_.until([&] { return host_.statuses.size() > statuses && host_.signed_statuses > signed_before; }));
  EXPECT_EQ(host_.status()->generation, 1U) << "it is no other enrolment";
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
  EXPECT_FALSE(std::filesystem::exists(state_ / "identity" / "next"));
  const auto identity = agent::Identity::read(state_);
  ASSERT_THAT(identity, IsOk());
  EXPECT_EQ(identity->key().public_key(), *next_key);
  EXPECT_EQ(says("status --json").output.find("outcrop device renew"), std::string::npos);
}

TEST_F(OwnerTest, sees_what_the_board_is_at) {
  const ShellOutcome away = says("status");
  EXPECT_EQ(away.code, 1);
  EXPECT_THAT(away.output, HasSubstr("is the agent running?"));
  agent_is_online();
  const ForgedRelease release = first_release();
  const ShellOutcome text = says("status");
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.output, HasSubstr("int8-qint8 of release " + release.manifest.short_hex()));
  const auto json = nlohmann::json::parse(says("status --json").output, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["deployment"]["state"], "UPDATED");
  EXPECT_EQ(json["active"]["manifest"], release.manifest.hex());
  EXPECT_EQ(json["connected"], true);
  EXPECT_EQ(json["not_connected_because"], nullptr);
  EXPECT_EQ(json["engine"]["confinement"], OUTCROP_TESTED_CONFINEMENT);
}

TEST_F(OwnerTest, sees_why_there_is_no_connection) {
  agent_is_online();
  broker_.stop_broker();
  EXPECT_TRUE(loop_.until(
      [&] { return says("status").output.find("not connected\n") != std::string::npos; },
      std::chrono::seconds(30)));
  const ShellOutcome text = says("status");
  EXPECT_THAT(text.output, HasSubstr("outcrop-agent doctor"));
  const auto json = nlohmann::json::parse(says("status --json").output, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_TRUE(json["not_connected_because"].is_string()) << json;
}

}  // namespace
}  // namespace outcrop
