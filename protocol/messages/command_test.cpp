#include "protocol/messages/command.hpp"

#include <gmock/gmock.h>

#include <functional>

#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/refused_for_tests.hpp"
#include "protocol/messages/renewal.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

Cancel some_cancel() {
  return {"rollout-7", 3, trust::sha256("manifest"), trust::sha256("before"), "too slow"};
}

template <class Message>
Result<Command> changed(const Message& message, const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(message));
  change(json);
  return parse_command(json.dump());
}

TEST(Command, is_read_by_its_type) {
  const auto cancel = parse_command(to_json(some_cancel()));
  ASSERT_THAT(cancel, IsOk());
  EXPECT_EQ(std::get<Cancel>(*cancel), some_cancel());
  const Acknowledgement acknowledgement{{{3, 17}, {2, 1}}};
  const auto back = parse_command(to_json(acknowledgement));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(std::get<Acknowledgement>(*back), acknowledgement);
  Offer offer;
  offer.rollout = offer.model = offer.device_class = "a";
  const auto offered = parse_command(to_json(offer));
  ASSERT_THAT(offered, IsOk());
  EXPECT_EQ(std::get<Offer>(*offered), offer);
}

TEST(Used, names_the_session_that_the_host_has) {
  const Used used{1'764'360'000};
  const auto back = parse_command(to_json(used));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(std::get<Used>(*back), used);
  EXPECT_THAT(changed(used, [](Json& j) { j["session"] = 0; }), refused("used.session"));
  EXPECT_THAT(changed(used, [](Json& j) { j["sequence"] = 1; }),
              refused("used.sequence: is an unknown key"));
  EXPECT_THAT(changed(used, [](Json& j) { j["protocol"] = protocol_version + 1; }),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
}

TEST(Move, brings_what_the_keys_of_targets_signed) {
  const BrokerMove move{1'764'547'200, *from_rfc3339("2026-12-30T08:00:00Z"), "fleet.example", 8883, "-----BEGIN\nEND-----\n"};
  const std::string text = to_json(move);
  const auto back = parse_broker_move(as_bytes(text));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, move);
  const auto refuses = [&](const std::function<void(Json&)>& change, const std::string& why) {
    Json json = Json::parse(text);
    change(json);
    const std::string other = json.dump();
    EXPECT_THAT(parse_broker_move(as_bytes(other)), refused(why));
  };
  refuses([](Json& j) { j["number"] = 0; }, "broker-move.number");
  refuses([](Json& j) { j["broker"]["port"] = 65'536; }, "broker-move.broker.port");
  refuses([](Json& j) { j["broker"]["host"] = ""; }, "broker-move.broker.host: is empty");
  refuses([](Json& j) { j["broker_authority"] = std::string(16'385, 'a'); }, "broker-move.broker_authority");
  refuses([](Json& j) { j.erase("expires"); }, "broker-move.expires");
  const Command command = Move{"{}\n"};
  EXPECT_TRUE(is_asked(command));
  EXPECT_EQ(parse_command(to_json(command)).value(), command);
  EXPECT_THAT(changed(Move{"{}"}, [](Json& j) { j["move"] = 1; }), refused("move.move"));
}

TEST(SignedCommand, names_its_board_and_its_last_second) {
  const SignedCommand command{"pi-1", *from_rfc3339("2026-11-21T08:00:00Z"), some_cancel()};
  const std::string text = to_json(command);
  const auto back = parse_signed_command(as_bytes(text));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, command);
  const auto with = [&](const std::function<void(Json&)>& change) {
    Json json = Json::parse(text);
    change(json);
    const std::string changed_text = json.dump();
    return parse_signed_command(as_bytes(changed_text));
  };
  EXPECT_THAT(with([](Json& j) { j["device"] = ""; }), refused("command.device"));
  EXPECT_THAT(with([](Json& j) { j.erase("expires"); }), refused("command.expires: is missing"));
  EXPECT_THAT(with([](Json& j) { j["command"] = "cancel"; }), refused("command.command"));
  EXPECT_THAT(with([](Json& j) { j["command"]["generation"] = 0; }), refused("cancel.generation"));
  EXPECT_THAT(with([](Json& j) { j["command"] = Json::object(); }), refused("command.type"));
  EXPECT_THAT(with([](Json& j) { j["forever"] = true; }),
              refused("command.forever: is an unknown key"));
  EXPECT_THAT(with([](Json& j) { j["type"] = "offer"; }), refused("type is 'offer'"));
  EXPECT_THAT(with([](Json& j) { j["protocol"] = 4; }), refused("command.protocol"));
}

TEST(Command, of_another_type_is_refused) {
  EXPECT_THAT(parse_command("{\"type\":\"progress\"}"), refused("command.type must be 'offer'"));
  EXPECT_THAT(parse_command("{\"type\":7}"), refused("command.type"));
  EXPECT_THAT(parse_command("{}"), refused("command.type"));
  EXPECT_THAT(parse_command("[]"), refused("not a JSON object"));
  EXPECT_THAT(parse_command(std::string(100'000, ' ')), refused("100.00 kB"));
}

TEST(Cancel, may_return_to_nothing) {
  Cancel cancel = some_cancel();
  cancel.return_to.reset();
  const auto back = parse_command(to_json(cancel));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(std::get<Cancel>(*back), cancel);
}

TEST(Cancel, names_what_it_refuses) {
  const Cancel cancel = some_cancel();
  EXPECT_THAT(changed(cancel, [](Json& j) { j["generation"] = 0; }), refused("cancel.generation"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["rollout"] = "../x"; }), refused("cancel.rollout"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["return_to"] = "none"; }),
              refused("cancel.return_to"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["return_to"] = nullptr; }),
              refused("cancel.return_to"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["reason"] = std::string(1025, 'x'); }),
              refused("cancel.reason"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["reason"] = "\033[2J"; }), refused("control"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["reason"] = "\u009b2J"; }), refused("control"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["reason"] = "ab \u00b5s"; }), IsOk());
  EXPECT_THAT(changed(cancel, [](Json& j) { j.erase("manifest"); }),
              refused("cancel.manifest: is missing"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["force"] = true; }),
              refused("cancel.force: is an unknown key"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["protocol"] = 0; }), refused("cancel.protocol"));
  EXPECT_THAT(changed(cancel, [](Json& j) { j["protocol"] = protocol_version + 1; }),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
}

TEST(Acknowledgement, holds_1_to_256_reports) {
  EXPECT_THAT(parse_command(to_json(Acknowledgement{})),
              refused("acknowledgement.reports: must be an array of 1 to 256"));
  Acknowledgement many{std::vector<MessageId>(256)};
  EXPECT_THAT(parse_command(to_json(many)), IsOk());
  many.reports.emplace_back();
  EXPECT_THAT(parse_command(to_json(many)), refused("acknowledgement.reports"));
  const Acknowledgement one{{{1, 1}}};
  EXPECT_THAT(changed(one, [](Json& j) { j["reports"][0]["sequence"] = 0; }),
              refused("acknowledgement.reports[0].sequence"));
  EXPECT_THAT(changed(one, [](Json& j) { j["reports"][0]["device"] = "board-1"; }),
              refused("acknowledgement.reports[0].device: is an unknown key"));
}

TEST(CommandCertificate, is_read_as_written_and_asked) {
  const Command command = Certificate{"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"};
  EXPECT_TRUE(is_asked(command));
  const auto parsed = parse_command(to_json(command));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(*parsed, command);
  EXPECT_FALSE(parse_command(R"({"type": "certificate", "protocol": 5, "certificate": 1})"));
  EXPECT_FALSE(parse_command(R"({"type": "certificate", "protocol": 5, "certificate": "", "more": 1})"));
}

TEST(RenewalMessage, is_read_as_written_and_refused_where_it_is_none) {
  Renewal renewal;
  renewal.header = {"pi-1", 7, 8, Timestamp(std::chrono::seconds(1'800'000'000)), true, signed_since};
  renewal.certificate_request = "-----BEGIN CERTIFICATE REQUEST-----\n";
  const std::string text = to_json(renewal);
  const auto parsed = parse_renewal(as_bytes(text));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(*parsed, renewal);
  for (const auto& [what, instead] : {std::pair<std::string, std::string>{"renewal", "report"}, {"certificate_request", "request"}, {"pi-1", "PI"}}) {
    std::string wrong = text;
    wrong.replace(wrong.find(what), what.size(), instead);
    EXPECT_FALSE(parse_renewal(as_bytes(wrong))) << wrong;
  }
}

}  // namespace
}  // namespace outcrop::messages
