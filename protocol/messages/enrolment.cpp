#include "protocol/messages/enrolment.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t longest_pem = 64 * 1024;
constexpr std::size_t longest_envelope = 1024 * 1024;

}  // namespace

std::string to_json(const EnrolmentRequest& request) {
  const Json json{{"type", "enrolment-request"},
                  {"protocol", first_protocol},
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
  (void)reader.integer("protocol", 1);
  EnrolmentRequest request;
  request.token_id = reader.name("token_id");
  request.certificate_request = reader.lines("certificate_request", longest_pem);
  request.mac = reader.digest("mac");
  reader.done();
  OUTCROP_CHECK(reader.status());
  return request;
}

std::string to_json(const EnrolmentBundle& bundle) {
  const Json json{{"type", "enrolment"},
                  {"protocol", first_protocol},
                  {"device", bundle.device},
                  {"model", bundle.model},
                  {"device_class", bundle.device_class},
                  {"certificate", bundle.certificate},
                  {"broker_authority", bundle.broker_authority},
                  {"broker", {{"host", bundle.broker_host}, {"port", bundle.broker_port}}},
                  {"root", {{"sha256", bundle.root.hex()}, {"envelope", bundle.root_envelope}}}};
  return json_text(json, 2);
}

Result<EnrolmentBundle> parse_enrolment_bundle(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, enrolment_limit, "enrolment"));
  OUTCROP_CHECK(check_type(json, "enrolment", "protocol"));
  ObjectReader reader(json, "enrolment");
  reader.constant("type", "enrolment");
  (void)reader.integer("protocol", 1);
  EnrolmentBundle bundle;
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
