#include "protocol/messages/command.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/messages/telemetry.hpp"

namespace outcrop::messages {
namespace {

// What is the same of all of them; `read` takes the keys of its own.
template <class Message>
Result<Command> parse_as(const Json& json, const char* type, void (*read)(ObjectReader&, Message&)) {
  OUTCROP_CHECK(check_type(json, type, "protocol"));
  ObjectReader reader(json, type);
  reader.constant("type", type);
  Message message;
  message.protocol = read_protocol(reader);
  read(reader, message);
  reader.done();
  OUTCROP_CHECK(reader.status());
  return message;
}

void read_keys(ObjectReader& reader, Cancel& cancel) {
  const DeploymentId deployment = read_deployment(reader);
  cancel.rollout = deployment.rollout;
  cancel.generation = deployment.generation;
  cancel.manifest = deployment.manifest;
  cancel.return_to = reader.digest_or_empty("return_to");
  cancel.reason = reader.text("reason", longest_reason);
}

void read_keys(ObjectReader& reader, Acknowledgement& acknowledgement) {
  reader.objects("reports", 1, 256, [&](ObjectReader& report) {
    MessageId id;
    id.session = report.integer("session", 1);
    id.sequence = report.integer("sequence", 1);
    report.done();
    acknowledgement.reports.push_back(id);
  });
}

void read_keys(ObjectReader& reader, Used& used) {
  used.session = reader.integer("session", 1);
}

constexpr std::uint64_t longest_asked = 7ULL * 24 * 3600;

std::chrono::seconds read_lasts(ObjectReader& reader) {
  return std::chrono::seconds(reader.integer("lasts_seconds", 1, longest_asked));
}

void read_keys(ObjectReader& reader, Watch& watch) {
  watch.interval = std::chrono::seconds(
      reader.integer("interval_seconds", static_cast<std::uint64_t>(shortest_interval.count()),
                     static_cast<std::uint64_t>(longest_interval.count())));
  watch.lasts = read_lasts(reader);
}

void read_keys(ObjectReader& reader, Measure& measure) {
  measure.manifest = reader.digest("manifest");
  measure.lasts = read_lasts(reader);
  if (measure.protocol >= layers_since && reader.has("layers")) measure.layers = reader.boolean("layers");
}

void read_keys(ObjectReader& reader, Draw& draw) {
  draw.manifest = reader.digest("manifest");
  draw.lasts = read_lasts(reader);
}

void read_keys(ObjectReader& reader, Certificate& certificate) {
  certificate.certificate = reader.lines("certificate", longest_certificate.value());
}

void read_keys(ObjectReader& reader, Move& move) {
  move.move = reader.lines("move", broker_move_limit.value());
}

}  // namespace

std::string to_json(const Cancel& cancel) {
  Json json{{"type", "cancel"},
            {"protocol", cancel.protocol},
            {"return_to", digest_or_empty(cancel.return_to)},
            {"reason", cancel.reason}};
  add_deployment(json, {cancel.rollout, cancel.generation, cancel.manifest});
  return json_text(json);
}

std::string to_json(const Acknowledgement& acknowledgement) {
  Json reports = Json::array();
  for (const MessageId& id : acknowledgement.reports) {
    reports.push_back({{"session", id.session}, {"sequence", id.sequence}});
  }
  const Json json{
      {"type", "acknowledgement"}, {"protocol", acknowledgement.protocol}, {"reports", reports}};
  return json_text(json);
}

std::string to_json(const Used& used) {
  return json_text(Json{{"type", "used"}, {"protocol", used.protocol}, {"session", used.session}});
}

std::string to_json(const Watch& watch) {
  return json_text(Json{{"type", "watch"},
                        {"protocol", watch.protocol},
                        {"interval_seconds", watch.interval.count()},
                        {"lasts_seconds", watch.lasts.count()}});
}

std::string to_json(const Measure& measure) {
  Json json{{"type", "measure"},
            {"protocol", measure.protocol},
            {"manifest", measure.manifest.hex()},
            {"lasts_seconds", measure.lasts.count()}};
  if (measure.layers) json["layers"] = true;
  return json_text(json);
}

std::string to_json(const Draw& draw) {
  return json_text(Json{{"type", "draw"},
                        {"protocol", draw.protocol},
                        {"manifest", draw.manifest.hex()},
                        {"lasts_seconds", draw.lasts.count()}});
}

std::string to_json(const Certificate& certificate) {
  return json_text(Json{
      {"type", "certificate"}, {"protocol", certificate.protocol}, {"certificate", certificate.certificate}});
}

std::string to_json(const Move& move) {
  return json_text(Json{{"type", "move"}, {"protocol", move.protocol}, {"move", move.move}});
}

std::string to_json(const Command& command) {
  return std::visit([](const auto& one) { return to_json(one); }, command);
}

std::string to_json(const SignedCommand& command) {
  return json_text(Json{{"type", command_kind},
                        {"protocol", signed_since},
                        {"device", command.device},
                        {"expires", to_rfc3339(command.expires)},
                        {"command", Json::parse(to_json(command.command))}});
}

Result<SignedCommand> parse_signed_command(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), command_limit, "command"));
  OUTCROP_CHECK(check_type(json, command_kind, "protocol"));
  ObjectReader reader(json, "command");
  reader.constant("type", command_kind);
  (void)reader.integer("protocol", signed_since);
  SignedCommand command;
  command.device = reader.name("device");
  command.expires = reader.time("expires");
  (void)reader.object("command");  // read below, by its own type
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(inner, parse_command(json_text(json["command"])));
  command.command = std::move(inner);
  return command;
}

Result<Command> parse_command(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, offer_limit, "command"));
  const auto type = json.find("type");
  const std::string name =
      type != json.end() && type->is_string() ? type->get<std::string>() : std::string();
  if (name == "cancel") return parse_as<Cancel>(json, "cancel", read_keys);
  if (name == "acknowledgement") return parse_as<Acknowledgement>(json, "acknowledgement", read_keys);
  if (name == "used") return parse_as<Used>(json, "used", read_keys);
  if (name == "watch") return parse_as<Watch>(json, "watch", read_keys);
  if (name == "measure") return parse_as<Measure>(json, "measure", read_keys);
  if (name == "draw") return parse_as<Draw>(json, "draw", read_keys);
  if (name == "certificate") return parse_as<Certificate>(json, "certificate", read_keys);
  if (name == "move") return parse_as<Move>(json, "move", read_keys);
  if (name != "offer") {
    return fail(ErrorCode::invalid_data,
                "command.type must be 'offer', 'cancel', 'acknowledgement', 'used', 'watch', "
                "'measure', 'draw', 'certificate' or 'move'");
  }
  OUTCROP_TRY(offer, parse_offer(text));
  return Command(std::move(offer));
}

}  // namespace outcrop::messages
