#include <algorithm>

#include "protocol/base/counted.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/version.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/metadata/expiry.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t usual_reports = 100;
constexpr std::size_t most_reports = 10'000;
constexpr std::size_t reports_at_once = 64;
constexpr ByteCount page_of_reports = ByteCount::mib(2);
// Boards that were away may have seen a few snapshots more than those that said so.
constexpr std::uint64_t snapshot_margin = 1000;

Json refusals(const IngestStatistics& statistics) {
  return {{"stale", std::uint64_t{statistics.stale}},
          {"unknown", std::uint64_t{statistics.unknown}},
          {"malformed", std::uint64_t{statistics.malformed}},
          {"forged", std::uint64_t{statistics.forged}},
          {"limited", std::uint64_t{statistics.limited}}};
}

// What is not here of a release that boards may be offered: a disk damaged it, or a backup had it
// not.
Result<std::optional<std::string>> missing_words(const BlobStore& blobs, Manifests& manifests,
                                                 const ReleaseRecord& release) {
  const std::string words = "of release " + release.manifest.short_hex() + " of " + release.model +
                            " blobs are missing or were damaged: publish it again (outcrop release "
                            "publish)";
  if (!blobs.has(release.manifest)) return std::optional(words);
  OUTCROP_TRY(manifest, manifests.of(release.manifest));
  const auto has = [&](const messages::BlobReference& blob) {
    return blobs.has(blob.sha256) && blobs.has(blob.chunk_table);
  };
  const auto& variants = manifest->variants;
  const bool whole =
      has(manifest->golden.input) && has(manifest->golden.output) &&
      std::all_of(variants.begin(), variants.end(),
                  [&](const messages::Variant& variant) { return has(variant.blob); });
  return whole ? std::optional<std::string>() : std::optional(words);
}

// Those that a key signs for; null before anything was published.
Json models_of(const RoleSet& roles) {
  if (!roles.targets()) return nullptr;
  Json models = Json::array();
  for (const trust::Delegation& delegation : (*roles.targets())->delegations) models.push_back(delegation.model);
  return models;
}

Json history_words(const monitor::History* history) {
  if (history == nullptr) return nullptr;
  const monitor::DiskUse disk = history->disk_use();
  const monitor::HistoryHealth health = history->health();
  return {{"used_bytes", disk.used.value()},
          {"most_bytes", disk.most.value()},
          {"parts", disk.files},
          {"oldest", time_or_null(disk.oldest)},
          {"kept", health.taken},
          {"waiting", health.waiting},
          {"lost", health.lost},
          {"refused", health.refused},
          {"problem", health.problem}};
}

}  // namespace

// All but what is seen by looking at the disk.
Result<std::vector<std::string>> Api::attention_of_loop() {
  std::vector<std::string> all;
  const auto add = [&](std::optional<std::string> words) {
    if (words) all.push_back(std::move(*words));
  };
  const RoleSet& roles = parts_.keeper.roles();
  const Timestamp now = parts_.clock.now();
  OUTCROP_TRY(older, parts_.driver.behind_fleet().words());
  add(older);
  OUTCROP_TRY(few, parts_.driver.behind_fleet().words_of_few());
  add(few);
  add(expiry_words(roles, now));
  std::optional<Timestamp> issued;
  if (roles.timestamp()) issued = (*roles.timestamp())->issued;
  add(future_words(now, issued));
  if (!parts_.keeper.problem().empty()) {
    add("snapshot and timestamp cannot be signed: " + parts_.keeper.problem());
  }
  if (!roles.director_since()) {
    add("root " + std::to_string(roles.root()->version) +
        " names no director: nobody signs the commands to boards, and whoever holds the broker can "
        "forge them (outcrop keys rotate director --dir KEYS, bring online/director.key, outcrop "
        "keys publish)");
  }
  if (parts_.history != nullptr) {
    if (const std::string problem = parts_.history->health().problem; !problem.empty()) {
      add("how boards fare cannot be kept at present, and rollouts go on without: " + problem);
    }
  }
  if (const std::size_t asking = parts_.ingest.renewals().all().size(); asking > 0) {
    add(counted(asking, "board asks", "boards ask") + " for a certificate of the next key: outcrop device renew");
  }
  for (std::string& words : parts_.notices()) add(std::move(words));
  return all;
}

std::vector<std::string> Api::missing_blobs() {
  std::vector<std::string> all;
  for (const ReleaseRecord& release : view_.releases()) {
    if (release.state != ReleaseState::published) continue;
    auto missing = missing_words(parts_.blobs, manifests_, release);
    if (!missing) all.push_back(missing.error().message());
    if (missing && *missing) all.push_back(std::move(**missing));
  }
  return all;
}

boost::asio::awaitable<std::vector<std::string>> Api::attention() {
  std::function<std::vector<std::string>()> ask = [this] {
    auto words = attention_of_loop();
    return words ? std::move(*words) : std::vector<std::string>{words.error().message()};
  };
  auto all = co_await on_executor<std::vector<std::string>>(parts_.loop, std::move(ask));
  for (std::string& words : missing_blobs()) all.push_back(std::move(words));
  co_return all;
}

std::map<std::string, std::uint64_t> Api::stage_lists() const {
  std::map<std::string, std::uint64_t> lists;
  for (const auto& [model, stage] : parts_.keeper.roles().stages()) lists[model] = stage->version;
  return lists;
}

Result<Json> Api::describe_host() {
  OUTCROP_TRY(enrolled, parts_.registry.count_enrolled());
  OUTCROP_TRY(authorities, parts_.registry.authorities());
  const auto& timestamp = parts_.keeper.roles().timestamp();
  OUTCROP_TRY(older, parts_.driver.behind_fleet().words());
  OUTCROP_TRY(needed, attention_of_loop());
  const Expiry nearest = nearest_expiry(parts_.keeper.roles());
  return Json{
      {"version", version()},
      {"protocol", protocol_version},
      {"broker",
       {{"host", parts_.broker.host},
        {"port", parts_.broker.port},
        {"running", parts_.broker.running()},
        {"restarting", parts_.broker.restarting()}}},
      {"root_version", parts_.keeper.roles().root()->version},
      {"snapshot_version", parts_.keeper.snapshot_version()},
      {"timestamp_expires", timestamp ? Json(to_rfc3339((*timestamp)->expires)) : Json(nullptr)},
      {"metadata_problem", parts_.keeper.problem()},
      {"expires_next", {{"role", nearest.role}, {"expires", to_rfc3339(nearest.when)}}},
      {"attention", needed},
      {"history", history_words(parts_.history)},
      {"older_than_fleet", older ? Json(*older) : Json(nullptr)},
      {"models", models_of(parts_.keeper.roles())},
      {"device_authorities", authorities.size()},
      {"devices", enrolled},
      {"online", parts_.ingest.presence().online_count()},
      {"refused_messages", refusals(parts_.ingest.statistics())}};
}

boost::asio::awaitable<http::Response> Api::host() {
  struct OfLoop {
    Result<Json> described;
    std::map<std::string, std::uint64_t> lists;
  };
  std::function<OfLoop()> ask = [this] { return OfLoop{describe_host(), stage_lists()}; };
  auto of_loop = co_await on_executor<OfLoop>(parts_.loop, std::move(ask));
  if (!of_loop.described) co_return http::error_response(of_loop.described.error());
  if (const Status read = view_.refresh(); !read) co_return http::error_response(read.error());
  std::map<std::string, std::uint64_t> seen;
  for (const auto& [name, row] : view_.boards()) add_list_seen(row.device, directed_, of_loop.lists, seen);
  (*of_loop.described)["lists_seen"] = seen;
  for (std::string& words : missing_blobs()) (*of_loop.described)["attention"].push_back(std::move(words));
  co_return respond(*of_loop.described);
}

Result<http::Response> Api::adopt() {
  OUTCROP_CHECK(parts_.driver.adopt());
  const std::uint64_t version = parts_.keeper.snapshot_version();
  OUTCROP_TRY(changed, parts_.keeper.sign_above(version + snapshot_margin));
  parts_.publish(changed);
  every_board_changed();
  OUTCROP_TRY(older, parts_.driver.behind_fleet().words());
  return respond({{"snapshot_version", parts_.keeper.snapshot_version()}, {"older_than_fleet", older ? Json(*older) : Json(nullptr)}});
}

// A new board believes nothing older than the time in it.
boost::asio::awaitable<http::Response> Api::enrolment() {
  std::function<Result<http::Response>()> describe = [this]() -> Result<http::Response> {
    OUTCROP_CHECK(parts_.keeper.check_clock());
    const trust::TrustedRoot& root = parts_.keeper.roles().root();
    return respond({{"broker_authority", parts_.broker.authority},
                    {"broker_host", parts_.broker.host},
                    {"broker_port", parts_.broker.port},
                    {"root", {{"sha256", root.digest().hex()}, {"envelope", root.envelope()}}},
                    {"metadata",
                     {{"versions", parts_.keeper.roles().floors().versions()},
                      {"time", to_rfc3339(parts_.clock.now())}}}});
  };
  const auto described = co_await on_executor<Result<http::Response>>(parts_.loop, std::move(describe));
  co_return described ? *described : http::error_response(described.error());
}

// As it is published: what a release takes along that goes to boards by hand.
boost::asio::awaitable<http::Response> Api::metadata() {
  std::function<Result<http::Response>()> describe = [this]() -> Result<http::Response> {
    Json envelopes = Json::object();
    for (auto& [role, envelope] : parts_.keeper.roles().envelopes()) envelopes[role] = std::move(envelope);
    return respond({{"envelopes", std::move(envelopes)}});
  };
  const auto described = co_await on_executor<Result<http::Response>>(parts_.loop, std::move(describe));
  co_return described ? *described : http::error_response(described.error());
}

// Whoever hears that a blob is here does not upload it: so it is read first, on the worker.
boost::asio::awaitable<http::Response> Api::blob(std::string digest) {
  const auto sha256 = trust::Sha256Digest::from_hex(digest);
  if (!sha256) co_return http::error_response(sha256.error());
  std::function<Result<bool>()> work = [store = parts_.blobs, id = *sha256] {
    return store.check(id);
  };
  const Result<bool> have = co_await on_worker<Result<bool>>(parts_.worker, std::move(work));
  if (!have) co_return http::error_response(have.error());
  co_return respond({{"have", *have}, {"bytes", parts_.blobs.uploaded(*sha256).value()}});
}

Result<http::Response> Api::reports(const http::Request& request) {
  const auto value = [&](const char* key) {
    const auto found = request.query.find(key);
    return found == request.query.end() ? std::string() : found->second;
  };
  std::optional<trust::Sha256Digest> manifest;
  if (const std::string text = value("manifest"); request.query.contains("manifest")) {
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
  // A cursor is a place in the order in which reports came, and holds for the same board and release.
  const std::string of = "-" + trust::sha256(board + " " + value("manifest")).short_hex();
  std::uint64_t below = UINT64_MAX;
  if (const std::string after = value("after"); request.query.contains("after")) {
    const bool same = after.ends_with(of);
    const auto place = same ? read_number<std::uint64_t>(after.substr(0, after.size() - of.size())) : std::nullopt;
    if (!place) return fail(ErrorCode::invalid_argument, "'after' is no cursor of these reports: begin again without it");
    below = *place;
  }
  if (!board.empty()) {
    OUTCROP_TRY(device, parts_.reader.device(board));
    if (!device) return fail(ErrorCode::not_found, "no board '" + board + "' was ever enrolled");
  }
  // A page ends where it is full, or where the next would make it larger than is good to wait for: what a board says of one release
  // may be a quarter of a megabyte.
  Json json = Json::array();
  std::size_t bytes = 0;
  bool more = true;
  while (more && json.size() < limit && bytes < page_of_reports.value()) {
    const std::size_t some = std::min(reports_at_once, limit - json.size());
    OUTCROP_TRY(stored, parts_.reader.reports(board, manifest, some + 1, below));
    more = stored.size() > some;
    if (more) stored.pop_back();
    for (const StoredReport& report : stored) {
      const std::string text = messages::to_json(report.report);
      bytes += text.size();
      json.push_back({{"received", to_rfc3339(report.received)}, {"number_used", report.number_used}, {"report", Json::parse(text)}});
      below = report.place;
    }
  }
  return respond({{"reports", std::move(json)}, {"after", more ? Json(std::to_string(below) + of) : Json(nullptr)}});
}

}  // namespace outcrop::fleet
