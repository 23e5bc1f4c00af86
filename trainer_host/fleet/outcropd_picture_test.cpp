#include <gtest/gtest.h>

#include "platform/http/client.hpp"
#include "protocol/messages/picture.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

namespace outcrop::fleet {
namespace {

using nlohmann::json;

// What boards drew, from the asking to the page.
TEST_F(OutcropdTest, asks_for_pictures_and_shows_them_beside_its_own) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("pi-1");
  auto before = enroll("before");
  before->status().speaks = 5;
  board->connect();
  before->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 2; }));
  post("/v1/rollouts", {{"name", "first"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("first", "done"));
  call("GET", "/v1/devices/pi-1/picture", nullptr, 404);
  const json asked = post("/v1/pictures", {{"device_class", "raspberry-pi-4"}, {"most", 4}});
  EXPECT_EQ(asked["asked"], json({"pi-1"}));
  EXPECT_NE(asked["left_out"]["before"].get<std::string>().find("too old to draw"), std::string::npos);
  call("POST", "/v1/pictures", {{"most", 4}}, 400);
  call("POST", "/v1/pictures", {{"device", "pi-1"}, {"most", 65}}, 400);
  const auto draw = [&]() -> const messages::Draw* {
    for (const messages::Command& command : board->asked()) {
      if (const auto* one = std::get_if<messages::Draw>(&command)) return one;
    }
    return nullptr;
  };
  ASSERT_TRUE(until([&] { return draw() != nullptr; }));
  EXPECT_EQ(draw()->manifest.hex(), manifest);
  EXPECT_EQ(get("/v1/devices/pi-1/picture")["waits"], true);

  // The golden outputs of the fixture are 3 x 3 points of one value.
  messages::Picture picture;
  picture.header = {"pi-1", 1, 500, SystemClock().now(), true};
  picture.manifest = draw()->manifest;
  picture.variant = "int8-qint8";
  picture.drawn = messages::Picture::Drawn{"velocity", {1, 1, 3, 3}, 2000, 5000, std::string("\0\0\0\0\xff\0\0\0\0", 9)};
  const std::vector<trust::PrivateKey> key{board->key()};
  board->publish(transport::topics::up("pi-1", "picture"),
                 trust::sign_envelope(messages::picture_kind, as_bytes(to_json(picture)), key));
  ASSERT_TRUE(until([&] { return board->has_acknowledged({1, 500}); }));
  const json shown = get("/v1/devices/pi-1/picture");
  EXPECT_EQ(shown["waits"], false);
  EXPECT_EQ(shown["picture"]["shape"], json({1, 1, 3, 3}));
  EXPECT_EQ(shown["picture"]["unit"], "m/s");
  EXPECT_EQ(shown["comparison"]["largest"], 3000) << shown.dump();
  EXPECT_EQ(shown["comparison"]["rms"], 1000);
  EXPECT_EQ(shown["comparison"]["verdict"], "beyond");
  EXPECT_EQ(shown["words"].get<std::string>().substr(0, 29), "It is not what was signed. Of");
  for (const char* of : {"board", "host", "difference", "all"}) {
    const auto file = http::call_ok(socket_, {"GET", std::string("/v1/devices/pi-1/picture.png?of=") + of + "&drawn=1-500"});
    ASSERT_TRUE(file) << file.error().message();
    EXPECT_EQ(file->content_type, "image/png");
    EXPECT_EQ(file->body.substr(1, 3), "PNG");
  }
  call("GET", "/v1/devices/pi-1/picture.png?of=nothing", nullptr, 400);
  call("GET", "/v1/devices/before/picture.png", nullptr, 404);
  const auto page = http::call_ok(socket_, {"GET", "/boards/pi-1"});
  ASSERT_TRUE(page);
  EXPECT_NE(page->body.find("not what was signed"), std::string::npos);
  EXPECT_EQ(get("/v1/audit?action=picture-asked")["entries"].size(), 1U);

  post("/v1/devices/pi-1/revoke", {{"reason", "lost"}, {"crl", revoke_certificate("pi-1")}});
  call("GET", "/v1/devices/pi-1/picture", nullptr, 404);
}

}  // namespace
}  // namespace outcrop::fleet
