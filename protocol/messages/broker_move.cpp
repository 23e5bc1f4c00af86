#include "protocol/messages/broker_move.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/renewal.hpp"

namespace outcrop::messages {

std::string to_json(const BrokerMove& move) {
  return json_text(Json{{"type", broker_move_kind},
                        {"protocol", move.protocol},
                        {"number", move.number},
                        {"expires", to_rfc3339(move.expires)},
                        {"broker", {{"host", move.host}, {"port", move.port}}},
                        {"broker_authority", move.authority}});
}

Result<BrokerMove> parse_broker_move(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), broker_move_limit, "broker-move"));
  OUTCROP_CHECK(check_type(json, broker_move_kind, "protocol"));
  ObjectReader reader(json, "broker-move");
  reader.constant("type", broker_move_kind);
  BrokerMove move;
  move.protocol = static_cast<int>(reader.integer("protocol", moves_since));
  move.number = reader.integer("number", 1);
  move.expires = reader.time("expires");
  ObjectReader broker = reader.object("broker");
  move.host = broker.text("host");
  if (broker.ok() && move.host.empty()) broker.refuse("host", "is empty; it must be a name or an address");
  move.port = static_cast<std::uint16_t>(broker.integer("port", 1, 65'535));
  broker.done();
  move.authority = reader.lines("broker_authority", longest_certificate.value());
  reader.done();
  OUTCROP_CHECK(reader.status());
  return move;
}

}  // namespace outcrop::messages
