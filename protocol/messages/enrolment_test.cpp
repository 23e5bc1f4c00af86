#include "protocol/messages/enrolment.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/refused_for_tests.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

constexpr const char* pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

EnrolmentRequest some_request() {
  return {"0123456789abcdef", "-----BEGIN CERTIFICATE REQUEST-----\n", trust::sha256("mac")};
}

EnrolmentBundle some_bundle() {
  EnrolmentBundle bundle;
  bundle.device = "board-1";
  bundle.model = "curvefault";
  bundle.device_class = "raspberry-pi-4";
  bundle.certificate = pem;
  bundle.broker_authority = std::string(pem) + pem;
  bundle.broker_host = "fleet.example";
  bundle.broker_port = 8884;
  bundle.root_envelope = "{\n\t\"payload\": \"\"}";
  bundle.root = trust::sha256(bundle.root_envelope);
  bundle.versions = {{"snapshot", 7}, {"stage-curvefault", 2}};
  bundle.time = Timestamp(std::chrono::seconds(1'790'000'000));
  bundle.mac = trust::sha256("mac");
  return bundle;
}

Result<EnrolmentBundle> changed(const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(some_bundle()));
  change(json);
  return parse_enrolment_bundle(json.dump());
}

TEST(EnrolmentRequest, reads_as_it_was_written) {
  const auto back = parse_enrolment_request(to_json(some_request()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_request());
}

TEST(EnrolmentRequest, names_what_it_refuses) {
  const auto change = [](const char* key, const Json& value) {
    Json json = Json::parse(to_json(some_request()));
    json[key] = value;
    return parse_enrolment_request(json.dump());
  };
  EXPECT_THAT(change("mac", "00"), refused("mac"));
  EXPECT_THAT(change("token_id", "a b"), refused("token_id"));
  EXPECT_THAT(change("certificate_request", "bell \a"), refused("certificate_request"));
  EXPECT_THAT(change("certificate_request", std::string(70'000, 'A')),
              refused("certificate_request"));
  EXPECT_THAT(change("device", "board-1"), refused("device: is an unknown key"));
  EXPECT_THAT(change("protocol", protocol_version + 1),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
  EXPECT_THAT(parse_enrolment_request(to_json(some_bundle())), refused("type is 'enrolment'"));
}

TEST(Enrolment, reads_as_it_was_written) {
  const auto back = parse_enrolment_bundle(to_json(some_bundle()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_bundle());
  EnrolmentBundle other = some_bundle();
  other.mac = trust::sha256("another");
  EXPECT_EQ(unproved_text(other), unproved_text(some_bundle()));
  EXPECT_THAT(changed([](Json& json) { json["metadata"]["versions"]["snapshot"] = 0; }), refused("metadata.versions.snapshot"));
  EXPECT_THAT(changed([](Json& json) { json.erase("mac"); }), refused("mac"));
}

TEST(Enrolment, names_what_it_refuses) {
  EXPECT_THAT(changed([](Json& j) { j["broker"]["port"] = 0; }), refused("enrolment.broker.port"));
  EXPECT_THAT(changed([](Json& j) { j["broker"]["port"] = 65'536; }),
              refused("enrolment.broker.port"));
  EXPECT_THAT(changed([](Json& j) { j["broker"].erase("host"); }),
              refused("enrolment.broker.host: is missing"));
  EXPECT_THAT(changed([](Json& j) { j["device"] = "a/b"; }), refused("enrolment.device"));
  EXPECT_THAT(changed([](Json& j) { j["key"] = "secret"; }),
              refused("enrolment.key: is an unknown key"));
  EXPECT_THAT(parse_enrolment_bundle(std::string(3'000'000, ' ')), refused("3.00 MB"));
}

TEST(Enrolment, refuses_a_root_of_another_digest) {
  EXPECT_THAT(changed([](Json& j) { j["root"]["envelope"] = "{}"; }),
              ErrorIs(ErrorCode::untrusted, HasSubstr("enrolment.root.sha256")));
}

}  // namespace
}  // namespace outcrop::messages
