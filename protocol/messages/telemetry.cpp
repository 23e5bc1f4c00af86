#include "protocol/messages/telemetry.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t most_buckets = 1024;
constexpr double longest_latency = 1e12;
constexpr double coldest = -100;
constexpr double hottest = 300;
constexpr double most_worn = 1.1;
constexpr std::uint64_t most_calls_a_second = 1'000'000;
constexpr std::uint64_t longest_uptime = 100ULL * 366 * 24 * 3600;

// Buckets as pairs, "-64, 12, -63, 40": where they lie and how many are in them.
Json histogram_to_json(const LogHistogram& histogram) {
  Json buckets = Json::array();
  for (const auto& [bucket, times] : histogram.buckets()) {
    buckets.push_back(bucket);
    buckets.push_back(times);
  }
  return {{"min", histogram.min().value_or(0)},
          {"max", histogram.max().value_or(0)},
          {"sum", histogram.sum()},
          {"buckets", std::move(buckets)}};
}

LogHistogram read_histogram(ObjectReader reader) {
  const double min = reader.number("min", 0, longest_latency);
  const double max = reader.number("max", 0, longest_latency);
  const double sum = reader.number("sum", 0, longest_latency * 1e9);
  const auto pairs = reader.numbers("buckets", 0, 2 * most_buckets, static_cast<double>(largest_integer));
  std::map<int, std::uint64_t> buckets;
  bool right = pairs.size() % 2 == 0;
  for (std::size_t i = 0; right && i < pairs.size(); i += 2) {
    const double bucket = pairs[i];
    const double times = pairs[i + 1];
    right = std::trunc(bucket) == bucket && std::trunc(times) == times && times >= 1 &&
            std::abs(bucket) < 1e6 && (buckets.empty() || bucket > buckets.rbegin()->first);
    if (right) buckets.emplace(static_cast<int>(bucket), static_cast<std::uint64_t>(times));
  }
  if (!right) reader.refuse("buckets", "must be pairs of a bucket, rising, and how many are in it");
  reader.done();
  if (!reader.ok()) return {};
  auto made = LogHistogram::from_parts(std::move(buckets), min, max, sum);
  if (!made) {
    reader.refuse("buckets", made.error().message());
    return {};
  }
  return std::move(*made);
}

Json causes_to_json(std::uint32_t bits) {
  Json causes = Json::array();
  for (std::size_t i = 0; i < throttling_causes.size(); ++i) {
    if ((bits >> i & 1U) != 0) causes.push_back(throttling_causes[i]);
  }
  return causes;
}

std::uint32_t read_causes(ObjectReader& reader, std::string_view key) {
  std::uint32_t bits = 0;
  for (const std::string& cause : reader.texts(key, throttling_causes.size(), 32)) {
    const auto found = std::find(throttling_causes.begin(), throttling_causes.end(), cause);
    if (found == throttling_causes.end()) {
      reader.refuse(key, "'" + cause + "' is no cause of throttling");
      return 0;
    }
    bits |= 1U << static_cast<unsigned>(found - throttling_causes.begin());
  }
  return bits;
}

template <class Value, class ToJson>
Json value_or_null(const std::optional<Value>& value, const ToJson& to_json) {
  return value ? Json(to_json(*value)) : Json(nullptr);
}

std::optional<ByteCount> read_size_or_null(ObjectReader& reader, std::string_view key) {
  if (reader.null(key)) return std::nullopt;
  return reader.size(key);
}

Telemetry::Served read_served(ObjectReader reader, std::chrono::seconds interval) {
  Telemetry::Served served;
  served.calls = reader.integer("calls", 0, most_calls_a_second * static_cast<std::uint64_t>(interval.count()));
  served.errors = reader.integer("errors", 0);
  served.latency_ms = read_histogram(reader.object("latency_ms"));
  if (reader.ok() && (served.errors > served.calls ||
                      served.latency_ms.count() != served.calls - served.errors)) {
    reader.refuse("calls", "must be the errors and the calls whose latency is told");
  }
  reader.done();
  return served;
}

}  // namespace

std::string to_json(const Telemetry& telemetry) {
  Json json = header_to_json(telemetry.header, telemetry_kind);
  json["interval_seconds"] = telemetry.interval.count();
  json["skipped"] = telemetry.skipped;
  json["device_class"] = telemetry.device_class;
  json["active"] = {{"manifest", digest_or_empty(telemetry.active_manifest)},
                    {"variant", telemetry.active_variant}};
  json["served"] = {{"calls", telemetry.served.calls},
                    {"errors", telemetry.served.errors},
                    {"latency_ms", histogram_to_json(telemetry.served.latency_ms)}};
  const auto same = [](double value) { return value; };
  const auto bytes = [](ByteCount size) { return size.value(); };
  json["temperature"] = value_or_null(telemetry.temperature, same);
  json["frequency"] = value_or_null(telemetry.frequency, same);
  json["throttled"] = value_or_null(telemetry.throttled, [](const ThrottlingBits& bits) {
    return Json{{"now", causes_to_json(bits.now)}, {"since_start", causes_to_json(bits.since_start)}};
  });
  json["free_memory"] = value_or_null(telemetry.free_memory, bytes);
  json["free_disk"] = value_or_null(telemetry.free_disk, bytes);
  if (telemetry.header.protocol >= disk_wear_since) {
    json["disk_written"] = value_or_null(telemetry.disk_written, bytes);
    json["disk_worn"] = value_or_null(telemetry.disk_worn, same);
  }
  json["uptime_seconds"] =
      value_or_null(telemetry.uptime, [](std::chrono::seconds uptime) { return uptime.count(); });
  json["runner_restarts"] = telemetry.runner_restarts;
  return json_text(json);
}

Result<Telemetry> parse_telemetry(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), telemetry_limit, telemetry_kind));
  OUTCROP_CHECK(check_type(json, telemetry_kind, "protocol"));
  ObjectReader reader(json, std::string(telemetry_kind));
  Telemetry telemetry;
  telemetry.header = read_header(reader, telemetry_kind);
  telemetry.interval = std::chrono::seconds(
      reader.integer("interval_seconds", 1, static_cast<std::uint64_t>(longest_interval.count())));
  telemetry.skipped = reader.integer("skipped", 0);
  telemetry.device_class = reader.name("device_class");
  ObjectReader active = reader.object("active");
  telemetry.active_manifest = active.digest_or_empty("manifest");
  telemetry.active_variant = active.name_or_empty("variant");
  active.done();
  telemetry.served = read_served(reader.object("served"), telemetry.interval);
  if (!reader.null("temperature")) telemetry.temperature = reader.number("temperature", coldest, hottest);
  if (!reader.null("frequency")) telemetry.frequency = reader.number("frequency", 0, 1);
  if (!reader.null("throttled")) {
    ObjectReader throttled = reader.object("throttled");
    telemetry.throttled.emplace();
    telemetry.throttled->now = read_causes(throttled, "now");
    telemetry.throttled->since_start = read_causes(throttled, "since_start");
    throttled.done();
  }
  telemetry.free_memory = read_size_or_null(reader, "free_memory");
  telemetry.free_disk = read_size_or_null(reader, "free_disk");
  if (telemetry.header.protocol >= disk_wear_since) {
    telemetry.disk_written = read_size_or_null(reader, "disk_written");
    if (!reader.null("disk_worn")) telemetry.disk_worn = reader.number("disk_worn", 0, most_worn);
  }
  if (!reader.null("uptime_seconds")) {
    telemetry.uptime = std::chrono::seconds(reader.integer("uptime_seconds", 0, longest_uptime));
  }
  telemetry.runner_restarts = reader.integer("runner_restarts", 0);
  reader.done();
  OUTCROP_CHECK(reader.status());
  return telemetry;
}

}  // namespace outcrop::messages
