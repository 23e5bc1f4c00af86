#include "protocol/messages/enrolment.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t longest_pem = 64 * 1024;
constexpr std::size_t longest_envelope = 1024 * 1024;
constexpr std::size_t most_roles = 256;

Json unproved(const EnrolmentBundle& bundle) {
  Json json{{"type", "enrolment"},
            {"protocol", bundle.protocol},
            {"device", bundle.device},
            {"model", bundle.model},
            {"device_class", bundle.device_class},
            {"certificate", bundle.certificate},
            {"broker_authority", bundle.broker_authority},
            {"broker", {{"host", bundle.broker_host}, {"port", bundle.broker_port}}},
            {"root", {{"sha256", bundle.root.hex()}, {"envelope", bundle.root_envelope}}}};
  if (bundle.protocol >= enrolment_proved_since) {
    json["metadata"] = {{"versions", bundle.versions}, {"time", to_rfc3339(bundle.time.value_or(Timestamp()))}};
  }
  return json;
}

}  // namespace

std::string to_json(const EnrolmentRequest& request) {
  const Json json{{"type", "enrolment-request"},
                  {"protocol", request.protocol},
                  {"token_id", request.token_id},
                  {"certificate_request", request.certificate_request},
                  {"mac", request.mac.hex()}};
  return json_text(json, 2);
}

Result<EnrolmentRequest> parse_enrolment_request(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, enrolment_limit, "enrolment request"));
  OUTCROP_CHECK(check_type(json, "enrolment-request", "protocol"));
  ObjectReader reader(json, "enrolment request");
  reader.constant("type", "enrolment-request");
  EnrolmentRequest request;
  request.protocol = static_cast<int>(reader.integer("protocol", 1, protocol_version));
  request.token_id = reader.name("token_id");
  request.certificate_request = reader.lines("certificate_request", longest_pem);
  request.mac = reader.digest("mac");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return request;
}

std::string to_json(const EnrolmentBundle& bundle) {
  Json json = unproved(bundle);
  if (bundle.protocol >= enrolment_proved_since) json["mac"] = bundle.mac.hex();
  return json_text(json, 2);
}

std::string unproved_text(const EnrolmentBundle& bundle) {
  return json_text(unproved(bundle), 2);
}

Result<EnrolmentBundle> parse_enrolment_bundle(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, enrolment_limit, "enrolment"));
  OUTCROP_CHECK(check_type(json, "enrolment", "protocol"));
  ObjectReader reader(json, "enrolment");
  reader.constant("type", "enrolment");
  EnrolmentBundle bundle;
  bundle.protocol = static_cast<int>(reader.integer("protocol", 1, protocol_version));
  bundle.device = reader.name("device");
  bundle.model = reader.name("model");
  bundle.device_class = reader.name("device_class");
  bundle.certificate = reader.lines("certificate", longest_pem);
  bundle.broker_authority = reader.lines("broker_authority", longest_pem);
  ObjectReader broker = reader.object("broker");
  bundle.broker_host = broker.text("host");
  bundle.broker_port = static_cast<std::uint16_t>(broker.integer("port", 1, 65'535));
  broker.done();
  ObjectReader root = reader.object("root");
  bundle.root = root.digest("sha256");
  bundle.root_envelope = root.lines("envelope", longest_envelope);
  root.done();
  if (bundle.protocol >= enrolment_proved_since) {
    ObjectReader metadata = reader.object("metadata");
    bundle.time = metadata.time("time");
    ObjectReader versions = metadata.object("versions");
    for (const std::string& role : versions.keys(most_roles)) bundle.versions[role] = versions.integer(role, 1);
    versions.done();
    metadata.done();
    bundle.mac = reader.digest("mac");
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  if (trust::sha256(bundle.root_envelope) != bundle.root) {
    return fail(
        ErrorCode::untrusted,
        "enrolment.root.envelope does not have the digest in enrolment.root.sha256; ask for a "
        "new enrolment");
  }
  return bundle;
}

}  // namespace outcrop::messages
