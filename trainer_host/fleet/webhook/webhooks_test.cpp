#include "trainer_host/fleet/webhook/webhooks.hpp"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::fleet {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* secret = "0123456789abcdef0123456789abcdef";

// A registry with an audit log, and a receiver on loopback that answers as it is told to.
class WebhooksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(write_file_durably(folder_.path() / "secret", std::string(secret) + "\n"), IsOk());
    receive();
  }

  void receive(std::optional<http::TcpOptions::Tls> tls = {}) {
    auto server = http::Server::listen_tcp(
        io_.get_executor(), {"127.0.0.1", 0, std::move(tls)},
        [this](http::Request request) -> boost::asio::awaitable<http::Response> {
          requests_.push_back(request);
          if (hangs_) {
            boost::asio::steady_timer never(io_, std::chrono::hours(1));
            co_await never.async_wait(boost::asio::use_awaitable);
          }
          co_return http::Response{status_};
        });
    ASSERT_THAT(server, IsOk());
    server_ = std::make_unique<http::Server>(std::move(*server));
  }

  WebhookConfig config(const std::string& scheme = "http") {
    WebhookConfig config;
    config.name = "ops";
    config.url = *http::read_url(scheme + "://127.0.0.1:" + std::to_string(server_->port()) + "/hook");
    config.secret = folder_.path() / "secret";
    config.timeout = std::chrono::seconds(1);
    return config;
  }
  Result<std::unique_ptr<Webhooks>> start(const std::vector<WebhookConfig>& configs) {
    return Webhooks::start(io_.get_executor(), *registry_, audit_, clock_, configs, {milliseconds(5), milliseconds(10), milliseconds(40)});
  }
  bool until(const std::function<bool()>& so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!so() && std::chrono::steady_clock::now() < end) io_.run_for(milliseconds(5));
    return so();
  }
  void record(const std::string& action, const std::string& subject = "pi-1") {
    ASSERT_THAT(audit_.record("uid 0", action, subject, R"({"why":"lost"})"), IsOk());
  }
  std::vector<std::string> subjects() const {
    std::vector<std::string> all;
    for (const auto& request : requests_) all.push_back(nlohmann::json::parse(request.body)["subject"]);
    return all;
  }

  TemporaryFolder folder_;
  boost::asio::io_context io_{1};
  SystemClock clock_;
  std::unique_ptr<Registry> registry_ = std::move(*open_sqlite_registry(folder_.path() / "registry.sqlite"));
  monitor::RegistryAuditLog audit_{*registry_, clock_};
  std::unique_ptr<http::Server> server_;
  std::vector<http::Request> requests_;
  int status_ = 204;
  bool hangs_ = false;
};

TEST_F(WebhooksTest, tells_what_comes_from_now_on_signed_and_in_order) {
  record("enrolled", "before");
  const auto webhooks = start({config()});
  ASSERT_THAT(webhooks, IsOk());
  record("revoked", "pi-1");
  record("revoked", "pi-2");
  ASSERT_TRUE(until([&] { return requests_.size() == 2; }));
  EXPECT_THAT(subjects(), ElementsAre("pi-1", "pi-2"));
  const http::Request& first = requests_[0];
  EXPECT_EQ(first.method + " " + first.path, "POST /hook");
  EXPECT_EQ(first.header("outcrop-event"), "2");
  const auto body = nlohmann::json::parse(first.body);
  EXPECT_EQ(body["id"], 2);
  EXPECT_EQ(body["action"], "revoked");
  EXPECT_EQ(body["detail"]["why"], "lost");
  const std::string signature = first.header("outcrop-signature");
  const Timestamp time{std::chrono::seconds(std::stoll(signature.substr(2)))};
  EXPECT_EQ(signature, webhook_signature(secret, time, first.body));
  EXPECT_NE(signature, webhook_signature("another", time, first.body));
}

TEST(WebhookSignature, is_what_openssl_says) {
  // printf '1800000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
  EXPECT_EQ(webhook_signature("0123456789abcdef", Timestamp(std::chrono::seconds(1'800'000'000)), "{}"),
            "t=1800000000,v1=1313ae9c874eb1a0868ad0b65f841c4243c23fdcfad69a3ada227726fad9960e");
}

TEST_F(WebhooksTest, tells_again_until_it_is_taken_and_says_so_meanwhile) {
  status_ = 500;
  const auto webhooks = start({config()});
  ASSERT_THAT(webhooks, IsOk());
  record("revoked", "pi-1");
  record("revoked", "pi-2");
  ASSERT_TRUE(until([&] { return requests_.size() >= 3; }));
  for (const std::string& subject : subjects()) EXPECT_EQ(subject, "pi-1");
  ASSERT_EQ((*webhooks)->undelivered().size(), 1U);
  EXPECT_THAT((*webhooks)->undelivered()[0], HasSubstr("the webhook ops has taken no event since"));
  EXPECT_THAT((*webhooks)->undelivered()[0], HasSubstr("it answered 500"));
  status_ = 200;
  ASSERT_TRUE(until([&] { return !requests_.empty() && subjects().back() == "pi-2"; }));
  EXPECT_TRUE(until([&] { return (*webhooks)->undelivered().empty(); }));
}

TEST_F(WebhooksTest, goes_on_where_it_was_after_a_start_and_hears_nothing_twice_that_was_taken) {
  {
    const auto webhooks = start({config()});
    ASSERT_THAT(webhooks, IsOk());
    record("revoked", "pi-1");
    ASSERT_TRUE(until([&] { return registry_->note("webhook ops").value().value_or("") == "1"; }));
  }
  io_.run_for(milliseconds(20));
  record("revoked", "pi-2");  // while nobody tells
  const auto webhooks = start({config()});
  ASSERT_THAT(webhooks, IsOk());
  ASSERT_TRUE(until([&] { return requests_.size() == 2; }));
  EXPECT_THAT(subjects(), ElementsAre("pi-1", "pi-2"));
}

TEST_F(WebhooksTest, leaves_a_receiver_that_hangs_and_holds_up_no_other) {
  WebhookConfig hanging = config();
  hanging.name = "hanging";
  hanging.url.target = "/hangs";
  hangs_ = true;
  const auto first = start({hanging});
  ASSERT_THAT(first, IsOk());
  record("revoked", "pi-1");
  ASSERT_TRUE(until([&] { return !requests_.empty(); }));
  hangs_ = false;  // for whoever comes from now on
  const auto second = start({config()});
  ASSERT_THAT(second, IsOk());
  record("revoked", "pi-2");
  EXPECT_TRUE(until([&] { return subjects().back() == "pi-2"; }));
  EXPECT_TRUE(until([&] { return !(*first)->undelivered().empty() || requests_.size() > 3; })) << "it was left, and told again";
}

TEST_F(WebhooksTest, tells_only_the_actions_that_are_asked_for) {
  WebhookConfig few = config();
  few.actions = {"rollout-decided"};
  const auto webhooks = start({few});
  ASSERT_THAT(webhooks, IsOk());
  record("revoked", "pi-1");
  record("rollout-decided", "update");
  record("revoked", "pi-2");
  ASSERT_TRUE(until([&] { return registry_->note("webhook ops").value().value_or("") == "3"; }));
  EXPECT_THAT(subjects(), ElementsAre("update"));
}

TEST_F(WebhooksTest, believes_only_whom_the_authority_vouches_for) {
  const auto authority = pki::Authority::open_or_make(folder_.path() / "authority", "receivers");
  ASSERT_THAT(authority, IsOk());
  const auto key = trust::PrivateKey::generate();
  const auto certificate = authority->issue({"127.0.0.1", {"127.0.0.1"}, pki::Authority::Usage::server}, key->public_key());
  ASSERT_THAT(certificate, IsOk());
  ASSERT_THAT(write_file_durably(folder_.path() / "host.pem", *certificate), IsOk());
  ASSERT_THAT(key->write_pem(folder_.path() / "host.key"), IsOk());
  receive(http::TcpOptions::Tls{folder_.path() / "host.pem", folder_.path() / "host.key"});
  WebhookConfig trusting = config("https");
  trusting.authority = folder_.path() / "authority/authority.pem";
  WebhookConfig doubting = config("https");
  doubting.name = "doubting";
  const auto webhooks = start({trusting, doubting});
  ASSERT_THAT(webhooks, IsOk());
  record("revoked", "pi-1");
  ASSERT_TRUE(until([&] { return !requests_.empty() && !(*webhooks)->undelivered().empty(); }));
  EXPECT_THAT((*webhooks)->undelivered()[0], HasSubstr("webhook doubting"));
  EXPECT_THAT((*webhooks)->undelivered()[0], HasSubstr("TLS with 127.0.0.1"));
  EXPECT_EQ(requests_.size(), 1U);
}

TEST_F(WebhooksTest, refuses_a_secret_that_is_none) {
  ASSERT_THAT(write_file_durably(folder_.path() / "short", "  abc \n"), IsOk());
  WebhookConfig bad = config();
  bad.secret = folder_.path() / "short";
  EXPECT_THAT(start({bad}), ErrorIs(ErrorCode::invalid_data, HasSubstr("has 3 bytes; it needs 16")));
  bad.secret = folder_.path() / "none";
  EXPECT_THAT(start({bad}), ErrorIs(ErrorCode::not_found, HasSubstr("none")));
}

}  // namespace
}  // namespace outcrop::fleet
