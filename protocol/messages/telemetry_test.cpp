#include "protocol/messages/telemetry.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <limits>

#include "protocol/base/version.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/messages/refused_for_tests.hpp"

namespace outcrop::messages {
namespace {

using ::testing::HasSubstr;

Telemetry some_telemetry() {
  Telemetry telemetry;
  telemetry.header = {"pi-1", 7, 9, Timestamp(std::chrono::seconds(1'800'000'000)), true};
  telemetry.interval = std::chrono::seconds(60);
  telemetry.skipped = 2;
  telemetry.device_class = "raspberry-pi-4";
  telemetry.active_manifest = trust::sha256("m");
  telemetry.active_variant = "int8-qint8";
  for (const double ms : {8.5, 9.0, 31.0}) telemetry.served.latency_ms.add(ms);
  telemetry.served.calls = 4;
  telemetry.served.errors = 1;
  telemetry.temperature = 61.5;
  telemetry.frequency = 0.75;
  telemetry.throttled = ThrottlingBits{0x4, 0x5};
  telemetry.free_memory = ByteCount::mib(900);
  telemetry.free_disk = ByteCount::mib(9000);
  telemetry.disk_written = ByteCount::mib(40'000);
  telemetry.disk_worn = 0.2;
  telemetry.uptime = std::chrono::seconds(3600);
  telemetry.runner_restarts = 1;
  return telemetry;
}

Result<Telemetry> parse(const std::string& text) {
  return parse_telemetry(as_bytes(text));
}

auto with_change(const std::function<void(Json&)>& change) {
  Json json = Json::parse(to_json(some_telemetry()));
  change(json);
  const std::string text = json.dump();
  return parse(text);
}

TEST(Telemetry, reads_as_it_was_written) {
  const auto back = parse(to_json(some_telemetry()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, some_telemetry());
  EXPECT_EQ(back->served.latency_ms.max(), 31.0);
}

TEST(Telemetry, of_a_board_without_sensors_that_serves_nothing_says_so) {
  Telemetry bare;
  bare.header = some_telemetry().header;
  bare.device_class = "pc";
  const auto back = parse(to_json(bare));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(*back, bare);
  EXPECT_EQ(back->temperature, std::nullopt);
  EXPECT_EQ(back->throttled, std::nullopt);
}

TEST(Telemetry, refuses_what_cannot_be) {
  EXPECT_THAT(with_change([](Json& j) { j["interval_seconds"] = 0; }), refused("telemetry.interval_seconds"));
  EXPECT_THAT(with_change([](Json& j) { j["temperature"] = 1000; }), refused("telemetry.temperature"));
  EXPECT_THAT(with_change([](Json& j) { j["frequency"] = 1.5; }), refused("telemetry.frequency"));
  EXPECT_THAT(with_change([](Json& j) { j["disk_worn"] = 1.2; }), refused("telemetry.disk_worn"));
  EXPECT_THAT(with_change([](Json& j) { j["disk_written"] = -1; }), refused("telemetry.disk_written"));
  EXPECT_THAT(with_change([](Json& j) { j["protocol"] = 5; }), refused("is an unknown key")) << "which knew no wear";
  EXPECT_THAT(with_change([](Json& j) { j["humidity"] = 1; }), refused("telemetry.humidity: is an unknown key"));
  EXPECT_THAT(with_change([](Json& j) { j.erase("uptime_seconds"); }), refused("uptime_seconds: is missing"));
  EXPECT_THAT(with_change([](Json& j) { j["throttled"]["now"] = {"tired"}; }), refused("telemetry.throttled.now"));
  EXPECT_THAT(with_change([](Json& j) { j["served"]["calls"] = 9; }), refused("telemetry.served.calls"));
  EXPECT_THAT(with_change([](Json& j) { j["served"]["calls"] = std::uint64_t{1} << 53; }), refused("telemetry.served.calls"))
      << "more than a board can serve in such an interval";
  EXPECT_THAT(with_change([](Json& j) { j["served"]["errors"] = 5; }), refused("telemetry.served.calls"));
  EXPECT_THAT(with_change([](Json& j) { j["protocol"] = protocol_version + 1; }),
              ErrorIs(ErrorCode::unsupported, HasSubstr("too new")));
}

TEST(Telemetry, refuses_histograms_that_contradict_themselves) {
  const auto latency = [](const std::function<void(Json&)>& change) {
    return with_change([&](Json& j) { change(j["served"]["latency_ms"]); });
  };
  const auto wrong = refused("telemetry.served.latency_ms.buckets");
  EXPECT_THAT(latency([](Json& j) { j["buckets"].push_back(7); }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["buckets"] = {5, 1, 4, 2}; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["buckets"][0] = 1.5; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["buckets"][1] = 0; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["buckets"][1] = -1; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["min"] = 40; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["max"] = 32000; }), wrong);
  EXPECT_THAT(latency([](Json& j) { j["sum"] = 1e6; }), wrong);
}

// JSON knows no NaN; what some writers put in its place is none either.
TEST(Telemetry, refuses_numbers_that_are_none) {
  const std::string text = to_json(some_telemetry());
  for (const std::string none : {"NaN", "nan", "Infinity", "1e999", "\"NaN\""}) {
    std::string changed = text;
    changed.replace(changed.find("61.5"), 4, none);
    EXPECT_FALSE(parse(changed)) << none;
  }
}

TEST(Telemetry, fits_its_limit_at_its_largest) {
  Telemetry largest = some_telemetry();
  largest.served = {};
  largest.interval = longest_interval;
  for (int bucket = 0; bucket < 1024; ++bucket) {
    largest.served.latency_ms.add(std::exp2((bucket - 400 - 0.5) / LogHistogram::buckets_an_octave), 79'999'999);
  }
  largest.served.calls = largest.served.latency_ms.count();
  const std::string text = to_json(largest);
  EXPECT_LE(text.size(), telemetry_limit.value());
  EXPECT_THAT(parse(text), IsOk());
}

TEST(Asked, watch_and_measure_read_as_they_were_written) {
  const Watch watch{std::chrono::seconds(300), std::chrono::seconds(86'400)};
  const Measure measure{trust::sha256("m"), std::chrono::seconds(3600)};
  EXPECT_EQ(std::get<Watch>(*parse_command(to_json(watch))), watch);
  EXPECT_EQ(std::get<Measure>(*parse_command(to_json(measure))), measure);
  EXPECT_TRUE(is_asked(watch) && is_asked(measure));
  EXPECT_FALSE(is_asked(Used{}));
}

TEST(Asked, is_bounded) {
  Watch often;
  often.interval = std::chrono::seconds(9);
  EXPECT_THAT(parse_command(to_json(often)), refused("watch.interval_seconds"));
  Watch forever;
  forever.lasts = std::chrono::hours(24 * 8);
  EXPECT_THAT(parse_command(to_json(forever)), refused("watch.lasts_seconds"));
  Measure late;
  late.lasts = std::chrono::seconds(0);
  EXPECT_THAT(parse_command(to_json(late)), refused("measure.lasts_seconds"));
}

}  // namespace
}  // namespace outcrop::messages
