#include <algorithm>

#include "protocol/base/number.hpp"
#include "protocol/base/version.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t usual_reports = 100;
constexpr std::size_t most_reports = 10'000;

Json refusals(const IngestStatistics& statistics) {
  return {{"stale", statistics.stale},
          {"unknown", statistics.unknown},
          {"malformed", statistics.malformed},
          {"forged", statistics.forged}};
}

}  // namespace

Result<http::Response> Api::host() {
  OUTCROP_TRY(all, parts_.registry.devices());
  const auto enrolled =
      std::count_if(all.begin(), all.end(), [](const Device& device) { return !device.revoked; });
  OUTCROP_TRY(authorities, parts_.registry.authorities());
  const auto& timestamp = parts_.keeper.roles().timestamp();
  return respond(
      {{"version", version()},
       {"protocol", protocol_version},
       {"broker",
        {{"host", parts_.broker.host},
         {"port", parts_.broker.port},
         {"running", parts_.broker.running()}}},
       {"root_version", parts_.keeper.roles().root()->version},
       {"snapshot_version", parts_.keeper.snapshot_version()},
       {"timestamp_expires", timestamp ? Json(to_rfc3339((*timestamp)->expires)) : Json(nullptr)},
       {"metadata_problem", parts_.keeper.problem()},
       {"device_authorities", authorities.size()},
       {"devices", enrolled},
       {"online", parts_.ingest.online_count()},
       {"refused_messages", refusals(parts_.ingest.statistics())}});
}

Result<http::Response> Api::enrolment() {
  const trust::TrustedRoot& root = parts_.keeper.roles().root();
  return respond({{"broker_authority", parts_.broker.authority},
                  {"broker_host", parts_.broker.host},
                  {"broker_port", parts_.broker.port},
                  {"root", {{"sha256", root.digest().hex()}, {"envelope", root.envelope()}}}});
}

Result<http::Response> Api::blob(const std::string& digest) {
  OUTCROP_TRY(sha256, trust::Sha256Digest::from_hex(digest));
  return respond(
      {{"have", parts_.blobs.has(sha256)}, {"bytes", parts_.blobs.uploaded(sha256).value()}});
}

Result<http::Response> Api::reports(const http::Request& request) {
  const auto value = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  std::optional<trust::Sha256Digest> manifest;
  if (const std::string text = value("manifest"); !text.empty()) {
    OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(text));
    manifest = digest;
  }
  std::size_t limit = usual_reports;
  if (const std::string text = value("limit"); !text.empty()) {
    limit = read_number<std::size_t>(text).value_or(0);
    if (limit < 1 || limit > most_reports) {
      return fail(ErrorCode::invalid_argument,
                  "limit must be 1 to " + std::to_string(most_reports));
    }
  }
  const std::string board = value("device");
  if (!board.empty()) {
    OUTCROP_TRY(device, parts_.registry.device(board));
    if (!device) return fail(ErrorCode::not_found, "no board '" + board + "' was ever enrolled");
  }
  OUTCROP_TRY(stored, parts_.registry.reports(board, manifest, limit));
  Json json = Json::array();
  for (const StoredReport& report : stored) {
    json.push_back({{"received", to_rfc3339(report.received)},
                    {"report", Json::parse(messages::to_json(report.report))}});
  }
  return respond({{"reports", std::move(json)}});
}

}  // namespace outcrop::fleet
