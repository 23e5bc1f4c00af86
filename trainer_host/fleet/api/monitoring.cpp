#include "protocol/base/number.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/names.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/ingest/layer_times.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount measure_body_limit = ByteCount::kib(4);
constexpr std::size_t most_outliers = 1000;
constexpr std::chrono::hours usual_span = std::chrono::days(30);

}  // namespace

// Boards that serve something measure it again, when they are at rest; a report tells.
Result<http::Response> Api::measure(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, measure_body_limit, "measure"));
  messages::ObjectReader reader(json, "measure");
  const auto given = [&](const char* key) { return json.contains(key) && !reader.null(key); };
  monitor::MeasureRequest request;
  if (given("device")) request.device = reader.name("device");
  if (given("device_class")) request.device_class = reader.name("device_class");
  if (given("manifest")) request.manifest = reader.digest("manifest");
  if (given("layers")) request.layers = reader.boolean("layers");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(answer, parts_.measure(request));
  return respond({{"asked", answer.asked}, {"left_out", answer.left_out}});
}

// What a board of a class spends a call of the release on, as it told.
Result<http::Response> Api::layers(const std::string& manifest, const http::Request& request) {
  OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(manifest));
  const auto word = request.query.find("class");
  if (word == request.query.end() || !messages::is_name(word->second)) {
    return fail(ErrorCode::invalid_argument, "say of which class of boards: ?class=NAME");
  }
  OUTCROP_TRY(text, layer_times(parts_.reader, digest, word->second));
  if (!text) {
    return fail(ErrorCode::not_found, "no board of class '" + word->second + "' has told the layer times of release " +
                                          digest.short_hex() + "; measure with \"layers\" asks those that serve it");
  }
  return http::Response{200, "application/json", std::move(*text)};
}

// Measurements that are far from the board's own earlier ones, or from those of its class.
boost::asio::awaitable<http::Response> Api::outliers(http::Request request) {
  if (parts_.history == nullptr) {
    co_return http::error_response(Error(ErrorCode::not_found, "this host keeps no history"));
  }
  const Timestamp now = parts_.clock.now();
  Timestamp from = now - usual_span;
  std::size_t limit = 100;
  if (const auto found = request.query.find("from"); found != request.query.end()) {
    const auto time = from_rfc3339(found->second);
    if (!time) co_return http::error_response(time.error());
    from = *time;
  }
  if (const auto found = request.query.find("limit"); found != request.query.end()) {
    limit = read_number<std::size_t>(found->second).value_or(0);
  }
  if (limit < 1 || limit > most_outliers) {
    co_return http::error_response(Error(ErrorCode::invalid_argument, "limit must be 1 to 1000"));
  }
  std::function<Result<std::vector<monitor::Outlier>>()> work = [history = parts_.history, from, now, limit] {
    return history->outliers(from, now + std::chrono::seconds(1), limit);
  };
  const auto found = co_await on_worker<Result<std::vector<monitor::Outlier>>>(parts_.worker, std::move(work));
  if (!found) co_return http::error_response(found.error());
  Json json = Json::array();
  for (const monitor::Outlier& one : *found) {
    json.push_back({{"at", to_rfc3339(one.at)},
                    {"device", one.device},
                    {"device_class", one.device_class},
                    {"manifest", one.release ? Json(one.release->hex()) : Json(nullptr)},
                    {"variant", one.variant},
                    {"p90_ms", one.p90_ms},
                    {"usual_ms", one.usual_ms},
                    {"against", one.against}});
  }
  co_return respond({{"outliers", std::move(json)}});
}

}  // namespace outcrop::fleet
