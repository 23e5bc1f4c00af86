#include "trainer_host/fleet/metrics/fleet_metrics.hpp"

#include <gmock/gmock.h>

#include <boost/asio/io_context.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/metrics/request_times.hpp"
#include "trainer_host/fleet/view/seeded_fleet_for_tests.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FleetMetricsTest : public ::testing::Test {
 protected:
  void seed() {
    for (int i = 0; i < 9; ++i) fleet_.add("pi-" + std::to_string(i), "raspberry-pi-4", .08);
    fleet_.throttle("pi-8", "raspberry-pi-4");
    fleet_.roll_out("second", 2, RolloutState::widening, "", {"pi-0", "pi-1"},
                    messages::DeploymentState::updated);
  }
  std::string expose(Exposition::Form form) {
    do EXPECT_THAT(view_.refresh(), IsOk());
    while (view_.unread() > 0);
    Exposition out(form);
    expose_fleet(out, {view_, ingest_, events_, nullptr, fleet_.now, {}, &decisions_});
    times_.expose(out);
    std::string text;
    for (const std::string& family : out.finish()) text += family;
    series_ = out.series_count();
    return text;
  }

  TemporaryFolder folder_;
  SeededFleet fleet_{folder_.path() / "registry.sqlite"};
  FleetView view_{fleet_.registry(), fleet_.surroundings()};
  boost::asio::io_context io_;
  Events events_{io_.get_executor(), "s"};
  IngestStatistics ingest_;
  RequestTimes times_;
  DecisionCounts decisions_;
  std::size_t series_ = 0;
};

TEST_F(FleetMetricsTest, say_what_boards_measured_by_class_and_never_who_they_are) {
  seed();
  ingest_.reports = 7;
  times_.add("/v1/devices", "GET", 200, std::chrono::milliseconds(3));
  decisions_.add(RolloutState::stopped, Because::evidence_of_slower);
  const std::string text = expose(Exposition::Form::open_metrics);
  EXPECT_THAT(text, HasSubstr("outcrop_rollout_decisions_total{decision=\"stopped\",reason=\"evidence-of-slower\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_rollout_decisions_total{decision=\"stopped\",reason=\"canary-failed\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE outcrop_reports counter\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_reports_total{result=\"taken\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_boards{device_class=\"raspberry-pi-4\",state=\"well\"} 8\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_boards{device_class=\"raspberry-pi-4\",state=\"throttled\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_rollout_boards{state=\"UPDATED\",device_class=\"raspberry-pi-4\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_rollout_evidence_ratio{metric=\"p90\",device_class=\"raspberry-pi-4\"}"));
  EXPECT_THAT(text, HasSubstr("outcrop_http_request_duration_seconds_bucket{route=\"/v1/devices\","
                              "method=\"GET\",code=\"2xx\",le=\"0.005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("slot=\"candidate\",across=\"median\"} 0.04"));
  EXPECT_THAT(text, HasSubstr("outcrop_fleet_golden_error_ratio"));
  EXPECT_TRUE(text.ends_with("# EOF\n"));
  for (const char* word : {"pi-0", "\"second\"", "uid"}) EXPECT_THAT(text, Not(HasSubstr(word)));
  EXPECT_THAT(text, Not(HasSubstr(fleet_.after().short_hex())));
}

TEST_F(FleetMetricsTest, of_each_board_are_for_so_many_and_say_how_many_were_left_out) {
  seed();
  do EXPECT_THAT(view_.refresh(), IsOk());
  while (view_.unread() > 0);
  Exposition out(Exposition::Form::open_metrics);
  expose_each_board(out, {view_, ingest_, events_, nullptr, fleet_.now}, 2);
  std::string text;
  for (const std::string& family : out.finish()) text += family;
  EXPECT_THAT(text, HasSubstr("outcrop_boards_truncated 7\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_board_online{board=\"pi-1\",device_class=\"raspberry-pi-4\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("outcrop_board_latency_p90_seconds{board=\"pi-0\",device_class=\"raspberry-pi-4\"} 0.0"));
  EXPECT_THAT(text, Not(HasSubstr("pi-2")));
}

TEST_F(FleetMetricsTest, stay_below_ten_thousand_series_whatever_the_fleet) {
  fleet_.at_once([&] {
    for (int i = 0; i < 140; ++i) {
      fleet_.add("b" + std::to_string(i), "class-" + std::to_string(i), 0);
    }
  });
  const std::string text = expose(Exposition::Form::open_metrics);
  EXPECT_LE(series_, Exposition::most_series);
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find("\noutcrop_", at)) != std::string::npos; ++at) ++lines;
  EXPECT_EQ(lines, series_);
  EXPECT_EQ(series_, Exposition::most_series);
  EXPECT_EQ(text.find("outcrop_series_left_out 0\n"), std::string::npos);
}

TEST_F(FleetMetricsTest, promtool_finds_nothing_wrong) {
  if (run_shell("command -v promtool").code != 0) {
    GTEST_SKIP() << "no promtool here: apt-get install prometheus";
  }
  seed();
  const auto file = folder_.path() / "metrics";
  ASSERT_THAT(write_file_durably(file, expose(Exposition::Form::text)), IsOk());
  const ShellOutcome outcome = run_shell("promtool check metrics < " + file.string() + " 2>&1");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

// Every name that a rule or a panel asks for is one that outcropd exposes, or would with telemetry.
TEST_F(FleetMetricsTest, rules_and_dashboard_ask_for_what_there_is) {
  seed();
  times_.add("/v1/devices", "GET", 200, std::chrono::milliseconds(3));
  const std::string text = expose(Exposition::Form::text);
  for (const char* name : {"alerts.yml", "grafana-dashboard.json"}) {
    const auto asks =
        read_text_file(std::filesystem::path(OUTCROP_SOURCE) / "packaging/monitoring" / name);
    ASSERT_THAT(asks, IsOk());
    std::size_t asked = 0;
    for (std::size_t at = 0; (at = asks->find("outcrop_", at)) != std::string::npos;) {
      const std::size_t end = asks->find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", at);
      const std::string metric = asks->substr(at, end - at);
      at = end;
      ++asked;
      if (metric.starts_with("outcrop_history_") || metric.starts_with("outcrop_fleet_disk_worn_ratio")) continue;
      EXPECT_THAT(text, HasSubstr(metric)) << name;
    }
    EXPECT_GT(asked, 8U);
  }
}

TEST(Monitoring, alert_rules_do_what_their_tests_say) {
  if (run_shell("command -v promtool").code != 0) {
    GTEST_SKIP() << "no promtool here: apt-get install prometheus";
  }
  const ShellOutcome outcome = run_shell(
      "cd " OUTCROP_SOURCE "/packaging/monitoring && promtool check rules alerts.yml && "
      "promtool test rules alerts_test.yml 2>&1");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

TEST(Form, is_what_the_scraper_says) {
  EXPECT_EQ(form_for("application/openmetrics-text; version=1.0.0,text/plain;q=0.5"),
            Exposition::Form::open_metrics);
  EXPECT_EQ(form_for("text/plain"), Exposition::Form::text);
}

}  // namespace
}  // namespace outcrop::fleet
