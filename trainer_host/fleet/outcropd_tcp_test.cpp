#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

namespace outcrop::fleet {
namespace {

using nlohmann::json;

// Pages, API and metrics by TCP.
class OutcropdTcpTest : public OutcropdTest {
 protected:
  void serve_tcp(const std::string& more = "") {
    port_ = free_port();
    write_config("[broker]\nport = " + std::to_string(free_port()) +
                 "\n[http]\nlisten = \"127.0.0.1:" + std::to_string(port_) + "\"\n" + more);
    start();
  }
  // What curl prints; "STATUS" at its end.
  std::string curl(const std::string& arguments, const std::string& path) {
    const std::string scheme = tls_ ? "https" : "http";
    return run_shell("curl -s -w '%{http_code}' " + arguments + " '" + scheme + "://127.0.0.1:" +
                     std::to_string(port_) + path + "'")
        .output;
  }
  std::string token(const std::string& name, const std::string& role) {
    return "-H 'Authorization: Bearer " +
           post("/v1/tokens", {{"name", name}, {"role", role}}, 201)["token"].get<std::string>() + "'";
  }
  std::uint16_t port_ = 0;
  bool tls_ = false;
};

TEST_F(OutcropdTcpTest, asks_for_a_token_and_does_what_its_role_may) {
  serve_tcp();
  publish(1);
  EXPECT_TRUE(curl("", "/v1/host").ends_with("401"));
  EXPECT_TRUE(curl("-H 'Authorization: Bearer oct_0'", "/v1/host").ends_with("401"));
  EXPECT_TRUE(curl("-H 'Accept: text/html'", "/").ends_with("303"));
  const std::string viewer = token("v", "viewer");
  const std::string steers = token("o", "operator");
  EXPECT_TRUE(curl(viewer, "/v1/host").ends_with("200"));
  EXPECT_TRUE(curl(viewer, "/").ends_with("200"));
  EXPECT_NE(curl(viewer, "/metrics").find("outcrop_boards"), std::string::npos);
  EXPECT_TRUE(curl(viewer, "/v1/tokens").ends_with("403"));
  const std::string start = " -X POST -d '{\"manifest\": \"0\"}'";
  EXPECT_TRUE(curl(viewer + start, "/v1/rollouts").ends_with("403"));
  EXPECT_TRUE(curl(steers + start, "/v1/rollouts").ends_with("404"));  // asked, and no such release
  EXPECT_TRUE(curl(steers + " -X POST -d '{}'", "/v1/host/adopt").ends_with("403"));
  // A name that somebody made to lead here, and a page of another site.
  EXPECT_TRUE(curl(viewer + " -H 'Host: evil.example'", "/v1/host").ends_with("421"));
  EXPECT_TRUE(curl(steers + start + " -H 'Origin: http://evil.example'", "/v1/rollouts").ends_with("403"));
  EXPECT_TRUE(curl("-X POST -d token=oct_0", "/login").ends_with("401"));
  call("DELETE", "/v1/tokens/v");
  EXPECT_TRUE(curl(viewer, "/v1/host").ends_with("401"));
  EXPECT_TRUE(curl(steers, "/metrics/boards").ends_with("404")) << "off where the configuration says nothing";
}

TEST_F(OutcropdTcpTest, a_browser_enters_by_a_form_and_forms_of_other_sites_do_nothing) {
  serve_tcp();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->answer_with(DeploymentState::downloading);
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  const std::string secret = post("/v1/tokens", {{"name", "o"}, {"role", "operator"}}, 201)["token"];
  const std::string jar = (home_ / "jar").string();
  EXPECT_TRUE(curl("-c " + jar + " -d token=" + secret, "/login").ends_with("303"));
  EXPECT_TRUE(curl("-H 'Sec-Fetch-Site: cross-site' -d token=" + secret, "/login").ends_with("403"));
  const std::string own = "-b " + jar + " -H 'Sec-Fetch-Site: same-origin'";
  const std::string page = curl("-b " + jar, "/rollouts/r");
  EXPECT_NE(page.find("Roll back"), std::string::npos) << page;
  EXPECT_TRUE(curl("-b " + jar + " -H 'Sec-Fetch-Site: cross-site' -d verb=pause", "/rollouts/r/steer").ends_with("403"));
  EXPECT_TRUE(curl("-b " + jar + " -d verb=pause", "/rollouts/r/steer").ends_with("403"));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "canary");
  const std::string pause = "curl -s -o /dev/null -w '%{http_code}' -X POST --unix-socket " +
                            socket_.string() + " http://local/v1/rollouts/r/pause -H 'If-Match: \"x\"'";
  EXPECT_EQ(run_shell(pause).output, "412");
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "canary");
  EXPECT_TRUE(curl(own + " -d verb=pause", "/rollouts/r/steer").ends_with("303"));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "paused");
  EXPECT_TRUE(curl(own + " -d verb=abort -d confirm=x", "/rollouts/r/steer").ends_with("400"));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "paused");
  EXPECT_TRUE(curl(own + " -d verb=abort -d confirm=r", "/rollouts/r/steer").ends_with("303"));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "aborted");
  // Tags by ticks, and of all that a filter has.
  EXPECT_TRUE(curl("-b " + jar + " -H 'Sec-Fetch-Site: cross-site' -d tag=lab -d which=ticked -d b.board=on", "/boards/tag").ends_with("403"));
  EXPECT_TRUE(curl(own + " -d tag=lab -d which=ticked -d verb=add", "/boards/tag").ends_with("400")) << "none is ticked";
  EXPECT_TRUE(curl(own + " -d tag=lab -d which=ticked -d verb=add -d b.nobody=on", "/boards/tag").ends_with("404"));
  EXPECT_TRUE(curl(own + " -d tag=Lab! -d which=ticked -d verb=add -d b.board=on", "/boards/tag").ends_with("400"));
  EXPECT_TRUE(curl(own + " -d tag=lab -d which=all -d verb=add -d filter=colour%3Dred", "/boards/tag").ends_with("400"));
  EXPECT_TRUE(curl(own + " -d tag=lab -d which=ticked -d verb=add -d b.board=on -d filter=q%3Dboard", "/boards/tag").ends_with("303"));
  EXPECT_EQ(get("/v1/devices/board")["tags"], json::array({"lab"}));
  EXPECT_EQ(get("/v1/audit?action=tagged")["entries"][0]["who"], "token o");
  EXPECT_TRUE(curl(own + " -d tag=lab -d which=all -d verb=remove -d filter=tag%3Dlab", "/boards/tag").ends_with("303"));
  EXPECT_TRUE(get("/v1/devices/board")["tags"].empty());
  EXPECT_NE(curl("-b " + jar, "/boards.csv?q=board").find("\r\nboard,raspberry-pi-4,"), std::string::npos);
  EXPECT_TRUE(curl("-b " + jar, "/boards.csv?colour=red").ends_with("400"));
  // What a release changed is acknowledged, by who may, and only of releases that are here.
  const std::string change = " -d note=known -d verb=acknowledge -d change=raspberry-pi-4/float/" + manifest + "/";
  EXPECT_TRUE(curl(own + change + std::string(64, '0'), "/regressions/acknowledge").ends_with("404"));
  EXPECT_TRUE(curl(own + change + manifest, "/regressions/acknowledge").ends_with("404")) << "no change from itself";
  const std::string newer = publish(2);
  EXPECT_TRUE(curl(own + change + newer, "/regressions/acknowledge").ends_with("303"));
  EXPECT_EQ(get("/v1/audit?action=change-acknowledged")["entries"][0]["subject"], "float on raspberry-pi-4");
  const json said = {{"device_class", "raspberry-pi-4"}, {"variant", "float"}, {"before", manifest}, {"after", newer}, {"remove", true}};
  EXPECT_EQ(post("/v1/changes/acknowledge", said)["acknowledged"], nullptr);
}

TEST_F(OutcropdTcpTest, who_is_not_known_or_may_not_do_it_is_listened_to_for_a_few_kib) {
  serve_tcp();
  const std::string viewer = token("v", "viewer");
  const std::string admin = token("a", "admin");
  const auto sends = [&](const std::string& who, const std::string& method, const std::string& path, std::size_t bytes) {
    const std::string file = (home_ / "body").string();
    EXPECT_TRUE(write_file_durably(file, std::string(bytes, 'x')));
    return curl(who + " -X " + method + " --data-binary @" + file, path);
  };
  const auto is_unknown = [](const std::string& answer) { return answer.find("a token is needed") != std::string::npos && answer.ends_with("401"); };
  EXPECT_TRUE(is_unknown(sends("", "POST", "/login", 4097)));
  EXPECT_TRUE(is_unknown(sends("", "POST", "/login", 9 << 20)));
  EXPECT_TRUE(sends("", "POST", "/login", 4000).ends_with("401"));
  EXPECT_TRUE(is_unknown(sends("-H 'Authorization: Bearer oct_0'", "PUT", "/v1/blobs/00", 4097)));
  EXPECT_TRUE(sends(viewer, "POST", "/v1/releases", 4000).ends_with("403"));
  EXPECT_TRUE(sends(viewer, "POST", "/v1/releases", 4097).ends_with("413"));
  EXPECT_TRUE(sends(viewer, "GET", "/v1/host", 4097).ends_with("413"));
  EXPECT_TRUE(sends(admin, "POST", "/v1/nothing", 4097).ends_with("413"));
  EXPECT_TRUE(sends(admin, "POST", "/v1/releases", 1 << 20).ends_with("400")) << "read, and no release";
  const std::string words = std::string(2000, '&') + "tokens=1&tok=2&token&token=" + admin.substr(admin.find("oct_"), 68);
  EXPECT_TRUE(curl("-X POST -d '" + words + "'", "/login").ends_with("303"));
}

TEST_F(OutcropdTcpTest, anybody_on_this_machine_may_look_where_the_configuration_says_so) {
  serve_tcp("open_to_viewers = true\nboard_metrics = 2\n");
  EXPECT_TRUE(curl("", "/").ends_with("200"));
  EXPECT_NE(curl("", "/metrics/boards").find("outcrop_boards_truncated 0"), std::string::npos);
  EXPECT_TRUE(curl("", "/v1/devices").ends_with("200"));
  EXPECT_TRUE(curl("-X POST -d '{\"manifest\": \"0\"}'", "/v1/rollouts").ends_with("403"));
  EXPECT_TRUE(curl("", "/v1/tokens").ends_with("403"));
}

TEST_F(OutcropdTcpTest, speaks_tls_with_the_certificate_it_is_given) {
  const std::string base = (home_ / "tls").string();
  ASSERT_EQ(run_shell("openssl req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=localhost -addext "
                      "subjectAltName=IP:127.0.0.1 -keyout " + base + ".key -out " + base + ".pem").code,
            0);
  tls_ = true;
  serve_tcp("certificate = \"tls.pem\"\nkey = \"tls.key\"\n");
  const std::string trusts = "--cacert " + base + ".pem ";
  EXPECT_TRUE(curl(trusts, "/v1/host").ends_with("401"));
  EXPECT_TRUE(curl(trusts + token("v", "viewer"), "/v1/host").ends_with("200"));
  const std::string entered =
      curl(trusts + "-i -d token=" + post("/v1/tokens", {{"name", "w"}, {"role", "viewer"}}, 201)["token"].get<std::string>(), "/login");
  EXPECT_NE(entered.find("HttpOnly; SameSite=Strict; Max-Age=2592000; Secure"), std::string::npos) << entered;
}

TEST_F(OutcropdTcpTest, who_has_a_certificate_needs_no_token_and_does_what_its_role_may) {
  using Usage = pki::Authority::Usage;
  const auto people = pki::Authority::open_or_make(home_ / "people", "People");
  ASSERT_TRUE(people);
  const auto issue = [&](const pki::Authority& authority, const std::string& name, const std::string& file, Usage usage) {
    const auto key = trust::PrivateKey::generate();
    const auto certificate = authority.issue(
        {name, usage == Usage::server ? std::vector<std::string>{"127.0.0.1"} : std::vector<std::string>(), usage}, key->public_key());
    ASSERT_TRUE(certificate) << certificate.error().message();
    ASSERT_TRUE(write_file_durably(home_ / (file + ".pem"), *certificate));
    ASSERT_TRUE(key->write_pem(home_ / (file + ".key")));
  };
  issue(*people, "host", "host", Usage::server);
  for (const std::string name : {"alice", "bob", "carol"}) issue(*people, name, name, Usage::client);
  issue(*devices_, "alice", "stranger", Usage::client);
  ASSERT_TRUE(write_file_durably(home_ / "people.pem", people->certificate()));
  tls_ = true;
  serve_tcp("certificate = \"host.pem\"\nkey = \"host.key\"\n[http.certificates]\nauthority = \"people.pem\"\n"
            "viewers = [\"bob\"]\nadmins = [\"alice\"]\n");
  const std::string trusts = "--cacert " + (home_ / "people.pem").string() + " ";
  const auto as = [&](const std::string& name) {
    const std::string file = (home_ / name).string();
    return trusts + "--cert " + file + ".pem --key " + file + ".key ";
  };
  EXPECT_TRUE(curl(trusts, "/v1/host").ends_with("401")) << "who has none may bring a token";
  EXPECT_TRUE(curl(trusts + token("v", "viewer"), "/v1/host").ends_with("200"));
  EXPECT_TRUE(curl(as("alice"), "/v1/tokens").ends_with("200"));
  EXPECT_TRUE(curl(as("bob"), "/v1/host").ends_with("200"));
  EXPECT_TRUE(curl(as("bob"), "/v1/tokens").ends_with("403"));
  EXPECT_NE(curl(as("carol"), "/v1/host").find("nothing is said of a certificate of 'carol'"), std::string::npos);
  EXPECT_TRUE(curl(as("stranger"), "/v1/host").ends_with("000")) << "of another authority";
  // A browser shows it by itself, also where a page of another site asks.
  const std::string add = "-d '{\"name\": \"x\", \"role\": \"viewer\"}' ";
  EXPECT_TRUE(curl(as("alice") + add + "-H 'Origin: https://evil.example'", "/v1/tokens").ends_with("403"));
  EXPECT_TRUE(curl(as("alice") + add, "/v1/tokens").ends_with("201"));
  EXPECT_EQ(get("/v1/audit?action=token-added")["entries"][0]["who"], "certificate alice");
}

// A Prometheus of its own, which ends with this object.
class Prometheus {
 public:
  Prometheus(const std::filesystem::path& folder, std::uint16_t outcropd) : port_(free_port()) {
    const std::string at = folder.string();
    EXPECT_TRUE(write_file_durably(folder / "prometheus.yml",
                                   "scrape_configs: [{job_name: outcrop, scrape_interval: 1s, static_configs: "
                                   "[{targets: ['127.0.0.1:" + std::to_string(outcropd) + "']}]}]\n"));
    pid_ = std::stoi(run_shell("prometheus --config.file=" + at + "/prometheus.yml --storage.tsdb.path=" + at +
                               "/tsdb --web.listen-address=127.0.0.1:" + std::to_string(port_) + " > " + at +
                               "/prometheus.log 2>&1 & echo $!")
                         .output);
  }
  Prometheus(const Prometheus&) = delete;
  Prometheus& operator=(const Prometheus&) = delete;
  ~Prometheus() { ::kill(pid_, SIGKILL); }
  json query(const std::string& expression) const {
    const auto answer = run_shell("curl -s -G --data-urlencode 'query=" + expression + "' http://127.0.0.1:" +
                                  std::to_string(port_) + "/api/v1/query");
    return json::parse(answer.output, nullptr, false);
  }

 private:
  std::uint16_t port_;
  pid_t pid_ = 0;
};

std::string replaced(std::string text, const std::string& word, const std::string& by) {
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size()) {
    text.replace(at, word.size(), by);
  }
  return text;
}

TEST_F(OutcropdTcpTest, prometheus_scrapes_it_and_the_dashboard_s_queries_run) {
  if (run_shell("command -v prometheus").code != 0) {
    GTEST_SKIP() << "no prometheus here: script/bootstrap --page";
  }
  serve_tcp("open_to_viewers = true\n");
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const Prometheus prometheus(home_, port_);
  ASSERT_TRUE(until([&] {
    const json up = prometheus.query("up");
    return up.is_object() && !up["data"]["result"].empty() && up["data"]["result"][0]["value"][1] == "1";
  })) << read_text_file(home_ / "prometheus.log").value_or("");
  const json boards = prometheus.query("sum(outcrop_boards)");
  EXPECT_EQ(boards["data"]["result"][0]["value"][1], "1");
  const json dashboard = json::parse(
      *read_text_file(OUTCROP_SOURCE "/packaging/monitoring/grafana-dashboard.json"));
  std::size_t asked = 0;
  for (const json& panel : dashboard["panels"]) {
    std::string expression = panel["targets"][0]["expr"];
    for (const char* variable : {"$device_class", "$model"}) {
      expression = replaced(expression, variable, ".*");
    }
    expression = replaced(expression, "$__rate_interval", "1m");
    EXPECT_EQ(prometheus.query(expression)["status"], "success") << expression;
    ++asked;
  }
  EXPECT_GT(asked, 10U);
}

}  // namespace
}  // namespace outcrop::fleet
