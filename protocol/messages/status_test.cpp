#include "protocol/messages/status.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

DeviceStatus some_status() {
  DeviceStatus status;
  status.device = "board-1";
  status.session = 4;
  status.online = true;
  status.agent = "0.1.0";
  status.model = "curvefault";
  status.device_class = "raspberry-pi-4";
  status.held = true;
  status.generation = 7;
  status.root_version = 3;
  status.snapshot_version = 12;
  status.deployment = DeviceStatus::Deployment{{"rollout-7", 7, trust::sha256("manifest")},
                                               DeploymentState::rolled_back,
                                               "budget: p90 of 412 ms, 400 ms allowed"};
  status.active_manifest = trust::sha256("before");
  status.active_variant = "float-mobile";
  return status;
}

TEST(DeviceStatus, reads_as_it_was_written) {
  DeviceStatus status = some_status();
  const auto back = parse_status(to_json(status));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, status);
  status.deployment.reset();
  status.active_manifest.reset();
  status.active_variant.clear();
  status.online = status.held = false;
  const auto bare = parse_status(to_json(status));
  ASSERT_THAT(bare, IsOk());
  EXPECT_EQ(*bare, status);
}

TEST(DeviceStatus, names_what_it_refuses) {
  const auto changed = [](const std::function<void(Json&)>& change) {
    Json json = Json::parse(to_json(some_status()));
    change(json);
    return parse_status(json.dump());
  };
  const auto refused = [](const std::string& message) {
    return ErrorIs(ErrorCode::invalid_data, HasSubstr(message));
  };
  EXPECT_THAT(changed([](Json& j) { j["online"] = "yes"; }), refused("status.online"));
  EXPECT_THAT(changed([](Json& j) { j["protocol"] = 6; }), refused("status.instance"));
  EXPECT_THAT(changed([](Json& j) { j["instance"] = 5; }), refused("instance"));  // of protocol 1
  EXPECT_THAT(changed([](Json& j) { j["online"] = 1; }), refused("status.online"));
  EXPECT_THAT(changed([](Json& j) { j["device"] = "Board 1"; }), refused("status.device"));
  EXPECT_THAT(changed([](Json& j) { j["session"] = 0; }), refused("status.session"));
  EXPECT_THAT(changed([](Json& j) { j["speaks"] = 0; }), refused("status.speaks"));
  EXPECT_THAT(changed([](Json& j) { j["generation"] = -1; }), refused("status.generation"));
  EXPECT_THAT(changed([](Json& j) { j["deployment"]["state"] = "FINE"; }),
              refused("status.deployment.state: 'FINE'"));
  EXPECT_THAT(changed([](Json& j) { j["deployment"].erase("reason"); }),
              refused("status.deployment.reason: is missing"));
  EXPECT_THAT(changed([](Json& j) { j.erase("deployment"); }),
              refused("status.deployment: is missing"));
  EXPECT_THAT(changed([](Json& j) { j["active"]["manifest"] = "x"; }),
              refused("status.active.manifest"));
  EXPECT_THAT(changed([](Json& j) { j["active"] = nullptr; }), refused("status.active"));
  EXPECT_THAT(changed([](Json& j) { j["load"] = 0.5; }), refused("status.load: is an unknown key"));
  EXPECT_THAT(changed([](Json& j) { j["type"] = "progress"; }), refused("type is 'progress'"));
  EXPECT_THAT(parse_status(std::string(10'000'000, '{')), refused("10.00 MB"));
  EXPECT_THAT(changed([](Json& j) { j["protocol"] = protocol_version + 1; }),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
}

TEST(Reasons, are_one_line_that_every_reader_takes) {
  DeviceStatus status = some_status();
  ASSERT_TRUE(status.deployment);
  status.deployment->reason =
      as_reason("it ended:\n\twhat(): \x1b[31mred \xe2\x80\xa6" + std::string(2000, 'x'));
  EXPECT_THAT(status.deployment->reason, ::testing::StartsWith("it ended:  what(): ?[31mred ???x"));
  EXPECT_THAT(parse_status(to_json(status)), IsOk());
}

}  // namespace
}  // namespace outcrop::messages
