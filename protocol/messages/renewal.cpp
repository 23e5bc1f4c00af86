#include "protocol/messages/renewal.hpp"

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {

std::string to_json(const Renewal& renewal) {
  Json json = header_to_json(renewal.header, renewal_kind);
  json["certificate_request"] = renewal.certificate_request;
  json["certificate"] = renewal.certificate;
  return json_text(json);
}

Result<Renewal> parse_renewal(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), renewal_limit, "renewal"));
  OUTCROP_CHECK(check_type(json, renewal_kind, "protocol"));
  ObjectReader reader(json, "renewal");
  Renewal renewal;
  renewal.header = read_header(reader, renewal_kind);
  renewal.certificate_request = reader.lines("certificate_request", longest_certificate.value());
  renewal.certificate = reader.lines("certificate", longest_certificate.value());
  reader.done();
  OUTCROP_CHECK(reader.status());
  return renewal;
}

}  // namespace outcrop::messages
