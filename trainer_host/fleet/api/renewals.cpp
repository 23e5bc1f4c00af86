#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/ingest/vouching.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount given_body_limit = ByteCount::kib(64);

}  // namespace

// Boards that ask for a certificate of their next key.
boost::asio::awaitable<http::Response> Api::renewals() {
  std::function<Result<http::Response>()> describe = [this]() -> Result<http::Response> {
    Json json = Json::array();
    for (const auto& [device, asked] : parts_.ingest.renewals().all()) {
      json.push_back({{"device", device}, {"certificate_request", asked.certificate_request}, {"since", to_rfc3339(asked.since)}});
    }
    return respond({{"renewals", std::move(json)}});
  };
  const auto described = co_await on_executor<Result<http::Response>>(parts_.loop, std::move(describe));
  co_return described ? *described : http::error_response(described.error());
}

// The one that counts: of the key by which the board signs.
Result<http::Response> Api::certificate_of(Registry& registry, const std::string& name) {
  OUTCROP_TRY(device, registry.device(name));
  if (!device) return fail(ErrorCode::not_found, "no board '" + name + "' is enrolled");
  return respond({{"name", name}, {"certificate", device->certificate}, {"revoked", device->revoked.has_value()}});
}

// It counts when the board has connected by it, and says so.
Result<http::Response> Api::give_certificate(const std::string& name, const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, given_body_limit, "certificate"));
  messages::ObjectReader reader(json, "certificate");
  const std::string certificate = reader.lines("certificate", messages::longest_certificate.value());
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(device, parts_.registry.device(name));
  if (!device) return fail(ErrorCode::not_found, "no board '" + name + "' is enrolled");
  const auto& all = parts_.ingest.renewals().all();
  const auto asked = all.find(name);
  if (asked == all.end()) return fail(ErrorCode::refused, "'" + name + "' asks for no certificate");
  OUTCROP_TRY(key, trust::read_certificate_request(asked->second.certificate_request));
  OUTCROP_TRY(info, trust::read_certificate(certificate));
  if (info.common_name != name || info.key != key) {
    return fail(ErrorCode::invalid_argument, "the certificate is for '" + info.common_name + "', or for another key than '" + name + "' asked for");
  }
  OUTCROP_TRY(authorities, parts_.registry.authorities());
  OUTCROP_TRY(authority, vouches_for(authorities, certificate, info.serial));
  OUTCROP_CHECK(check_not_leaving(authority));
  if (parts_.tell) parts_.tell(name, messages::Certificate{certificate});
  return respond({{"name", name}, {"online", parts_.ingest.online(name)}});
}

}  // namespace outcrop::fleet
