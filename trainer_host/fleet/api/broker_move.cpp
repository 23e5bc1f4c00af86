#include "protocol/messages/broker_move.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount move_body_limit = ByteCount::kib(64);

}  // namespace

// As boards look at it, so that whoever asks hears what is wrong.
Result<http::Response> Api::move_broker(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, move_body_limit, "move"));
  messages::ObjectReader reader(json, "move");
  const auto given = [&](const char* key) { return json.contains(key) && !reader.null(key); };
  monitor::MeasureRequest request;
  const messages::Move command{reader.lines("move", messages::broker_move_limit.value())};
  if (given("device")) request.device = reader.name("device");
  if (given("device_class")) request.device_class = reader.name("device_class");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(verified, trust::verify_envelope(command.move, messages::broker_move_kind,
                                               parts_.keeper.roles().root().signers(trust::TargetsMetadata::kind)));
  OUTCROP_TRY(move, messages::parse_broker_move(verified.bytes()));
  OUTCROP_CHECK(trust::read_certificate(move.authority));
  if (parts_.clock.now() >= move.expires) return fail(ErrorCode::expired, "the move expired on " + to_rfc3339(move.expires));
  OUTCROP_TRY(answer, parts_.move(request, command, move.expires));
  return respond({{"name", move.host + ":" + std::to_string(move.port)}, {"number", move.number}, {"asked", answer.asked}, {"left_for", answer.left_for}, {"left_out", answer.left_out}});
}

}  // namespace outcrop::fleet
