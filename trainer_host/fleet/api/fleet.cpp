#include <memory>

#include "protocol/base/number.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/metrics/fleet_metrics.hpp"
#include "trainer_host/fleet/view/acknowledged.hpp"

namespace outcrop::fleet {
namespace {

constexpr ByteCount token_body_limit = ByteCount::kib(4);
constexpr std::size_t most_audited = 1000;
constexpr ByteCount acknowledge_body_limit = ByteCount::kib(4);
constexpr std::size_t longest_note = 500;

std::string word_of(const http::Request& request, const char* key) {
  const auto found = request.query.find(key);
  return found == request.query.end() ? std::string() : found->second;
}

Result<Timestamp> time_of(const http::Request& request, const char* key, Timestamp otherwise) {
  const std::string text = word_of(request, key);
  if (text.empty()) return otherwise;
  return from_rfc3339(text);
}

Result<monitor::Selection> selection_of(const http::Request& request, Timestamp now) {
  monitor::Selection selection;
  const auto measure = monitor::measure_from(word_of(request, "measure"));
  if (!measure) {
    return fail(ErrorCode::invalid_argument,
                "the query needs measure, one of served_ms, measured_p50_ms, measured_p90_ms, load_ms, "
                "first_ms, peak_memory, golden_error, temperature, frequency, free_memory, free_disk, "
                "uptime, disk_written, disk_worn");
  }
  selection.measure = *measure;
  selection.device = word_of(request, "device");
  selection.device_class = word_of(request, "class");
  selection.variant = word_of(request, "variant");
  if (const std::string release = word_of(request, "release"); !release.empty()) {
    OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(release));
    selection.release = digest;
  }
  OUTCROP_TRY(from, time_of(request, "from", now - std::chrono::hours(24)));
  OUTCROP_TRY(to, time_of(request, "to", now + std::chrono::seconds(1)));
  selection.from = from;
  selection.to = to;
  if (const std::string text = word_of(request, "resolution"); !text.empty()) {
    selection.resolution = monitor::resolution_from(text);
    if (!selection.resolution) {
      return fail(ErrorCode::invalid_argument, "resolution is raw, hour or day, not '" + text + "'");
    }
  }
  if (const std::string text = word_of(request, "points"); !text.empty()) {
    const auto points = read_number<std::size_t>(text);
    if (!points) return fail(ErrorCode::invalid_argument, "points is a number, 1 to 5000");
    selection.most_points = *points;
  }
  return selection;
}

Json to_json(const monitor::Series& series) {
  Json points = Json::array();
  for (const monitor::Point& point : series.points) {
    Json throttled = Json::object();
    for (int i = 0; i < monitor::throttling_count; ++i) {
      throttled[std::string(to_string(static_cast<monitor::Throttling>(i)))] =
          point.throttled[static_cast<std::size_t>(i)];
    }
    points.push_back({{"at", to_rfc3339(point.at)},
                      {"seconds", point.width.count()},
                      {"count", point.values.count()},
                      {"p50", number_or_null(point.values.quantile(.5))},
                      {"p90", number_or_null(point.values.quantile(.9))},
                      {"min", number_or_null(point.values.min())},
                      {"max", number_or_null(point.values.max())},
                      {"samples", point.samples},
                      {"errors", point.errors},
                      {"boards", point.boards},
                      {"throttled", std::move(throttled)}});
  }
  return {{"resolution", to_string(series.resolution)},
          {"cut", series.cut},
          {"points", std::move(points)}};
}

// One family after the other.
http::Response scraped(Exposition& exposition, Exposition::Form form) {
  http::Response response{200, std::string(content_type(form))};
  auto families = std::make_shared<std::vector<std::string>>(exposition.finish());
  response.pieces = [families, next = std::size_t{0}]() mutable
      -> boost::asio::awaitable<std::optional<std::string>> {
    if (next == families->size()) co_return std::nullopt;
    co_return std::move((*families)[next++]);
  };
  return response;
}

Json describe(const Token& token) {
  return {{"name", token.name}, {"role", to_string(token.role)}, {"made", to_rfc3339(token.made)}};
}

}  // namespace

// From what is in memory at this moment.
Result<http::Response> Api::metrics(const http::Request& request) {
  OUTCROP_CHECK(view_.refresh());
  const Exposition::Form form = form_for(request.header("accept"));
  Exposition exposition(form);
  expose_fleet(exposition,
               {view_, parts_.ingest.statistics(), events_, parts_.history, parts_.clock.now(),
                parts_.database, &parts_.driver.decisions()});
  times_.expose(exposition);
  return scraped(exposition, form);
}

Result<http::Response> Api::board_metrics(const http::Request& request) {
  if (parts_.board_metrics == 0) {
    return fail(ErrorCode::not_found, "there are no metrics of single boards here: host.toml, [http] board_metrics says of how many");
  }
  OUTCROP_CHECK(view_.refresh());
  const Exposition::Form form = form_for(request.header("accept"));
  Exposition exposition(form);
  expose_each_board(exposition, {view_, parts_.ingest.statistics(), events_, parts_.history, parts_.clock.now()}, parts_.board_metrics);
  return scraped(exposition, form);
}

Result<http::Response> Api::events(const http::Request& request) {
  OUTCROP_CHECK(view_.refresh());  // what was before is not told to who begins now
  http::Response response{200, "text/event-stream"};
  response.headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
  std::string last = request.header("last-event-id");
  if (last.empty()) last = word_of(request, "last-event-id");
  response.pieces = events_.listen(last);
  return response;
}

Result<http::Response> Api::changes() {
  OUTCROP_CHECK(view_.refresh());
  Json json = Json::array();
  const AcknowledgedOf acknowledged = acknowledged_in(parts_.reader);
  for (const Change& one : newest_changes(view_)) {
    const auto seen = acknowledged(one);
    json.push_back({{"model", one.model},
                    {"device_class", one.device_class},
                    {"variant", one.variant},
                    {"before", one.releases.before.hex()},
                    {"after", one.releases.after.hex()},
                    {"before_p90_ms", one.before_ms},
                    {"after_p90_ms", one.after_ms},
                    {"boards", one.p90.boards},
                    {"slower", one.p90.slower},
                    {"effect", one.p90.median},
                    {"low", number_or_null(one.p90.low)},
                    {"high", number_or_null(one.p90.high)},
                    {"evidence", one.p90.evidence},
                    {"verdict", to_string(one.p90.verdict)},
                    {"throttled_before", one.throttled_before},
                    {"throttled_after", one.throttled_after},
                    {"acknowledged", seen ? Json{{"who", seen->who}, {"time", to_rfc3339(seen->when)}, {"note", seen->note}} : Json(nullptr)}});
  }
  return respond({{"changes", std::move(json)}});
}

// Of any two releases of a model: what a screen of a moment ago showed may be acknowledged, too.
Result<http::Response> Api::acknowledge_change(const std::string& body, const std::string& who) {
  OUTCROP_TRY(json, messages::parse_object(body, acknowledge_body_limit, "acknowledgement"));
  messages::ObjectReader reader(json, "acknowledgement");
  ChangeName change;
  change.device_class = reader.name("device_class");
  change.variant = reader.name("variant");
  change.releases.before = reader.digest("before");
  change.releases.after = reader.digest("after");
  const std::string note = reader.has("note") ? reader.text("note", longest_note) : "";
  const bool remove = reader.has("remove") && reader.boolean("remove");
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(before, parts_.registry.release(change.releases.before));
  OUTCROP_TRY(after, parts_.registry.release(change.releases.after));
  if (!before || !after || before->model != after->model || before->manifest == after->manifest) {
    return fail(ErrorCode::not_found, "'before' and 'after' are not two releases of one model of this host: take them from GET /v1/changes");
  }
  const Acknowledged by{who, parts_.clock.now(), note};
  OUTCROP_CHECK(remove ? take_back_acknowledgement(parts_.registry, change) : acknowledge(parts_.registry, change, by));
  return respond({{"name", change.variant + " on " + change.device_class},
                  {"acknowledged", remove ? Json(nullptr) : Json{{"who", by.who}, {"time", to_rfc3339(by.when)}, {"note", by.note}}}});
}

boost::asio::awaitable<http::Response> Api::history(http::Request request) {
  if (parts_.history == nullptr) {
    co_return http::error_response(Error(ErrorCode::not_found, "this host keeps no history"));
  }
  const auto selection = selection_of(request, parts_.clock.now());
  if (!selection) co_return http::error_response(selection.error());
  std::function<Result<monitor::Series>()> work = [from = parts_.history, what = *selection] {
    return from->series(what);
  };
  const auto series = co_await on_worker<Result<monitor::Series>>(parts_.worker, std::move(work));
  if (!series) co_return http::error_response(series.error());
  Json json = to_json(*series);
  json["measure"] = monitor::to_string(selection->measure);
  json["unit"] = monitor::unit_of(selection->measure);
  co_return respond(json);
}

Result<http::Response> Api::audit(const http::Request& request) {
  if (parts_.audit == nullptr) return fail(ErrorCode::not_found, "this host keeps no audit log");
  std::optional<std::uint64_t> below;
  if (const std::string text = word_of(request, "below"); !text.empty()) {
    below = read_number<std::uint64_t>(text);
    if (!below) return fail(ErrorCode::invalid_argument, "below is the number of an entry");
  }
  std::size_t limit = 100;
  if (const std::string text = word_of(request, "limit"); !text.empty()) {
    limit = read_number<std::size_t>(text).value_or(0);
    if (limit < 1 || limit > most_audited) {
      return fail(ErrorCode::invalid_argument, "limit must be 1 to 1000");
    }
  }
  OUTCROP_TRY(page,
              parts_.audit->page(below, limit, word_of(request, "subject"), word_of(request, "action")));
  Json entries = Json::array();
  for (const monitor::AuditEntry& one : page.entries) {
    entries.push_back({{"number", one.number},
                       {"time", to_rfc3339(one.time)},
                       {"who", one.who},
                       {"action", one.action},
                       {"subject", one.subject},
                       {"detail", Json::parse(one.detail, nullptr, false)},
                       {"detail_text", one.detail},  // as the hash covers it
                       {"before", one.before.hex()},
                       {"hash", one.hash.hex()}});
  }
  return respond({{"entries", std::move(entries)},
                  {"older", page.older ? Json(*page.older) : Json(nullptr)}});
}

Result<http::Response> Api::tokens() {
  Json json = Json::array();
  for (const Token& one : parts_.tokens.all()) json.push_back(describe(one));
  return respond({{"tokens", std::move(json)}});
}

Result<http::Response> Api::token_of(const std::string& name) {
  for (const Token& one : parts_.tokens.all()) {
    if (one.name == name) return respond(describe(one));
  }
  return fail(ErrorCode::not_found, "there is no token '" + name + "'");
}

Result<http::Response> Api::add_token(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, token_body_limit, "token"));
  messages::ObjectReader reader(json, "token");
  const std::string name = reader.text("name", 63);
  const std::string word = reader.text("role", 63);
  reader.done();
  OUTCROP_CHECK(reader.status());
  const auto role = role_from(word);
  if (!role) {
    return fail(ErrorCode::invalid_argument,
                "a role is viewer, operator or admin, not '" + word + "'");
  }
  OUTCROP_TRY(secret, parts_.tokens.add(name, *role, parts_.clock.now()));
  http::Response response = respond({{"name", name}, {"role", word}, {"token", secret}}, 201);
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

Result<http::Response> Api::remove_token(const std::string& name) {
  OUTCROP_CHECK(parts_.tokens.remove(name));
  return respond({{"name", name}});
}

}  // namespace outcrop::fleet
