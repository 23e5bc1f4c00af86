#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <random>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/monitor/file_history.hpp"
#include "trainer_host/fleet/monitor/history_file.hpp"
#include "trainer_host/fleet/monitor/history_writer.hpp"
#include "trainer_host/fleet/monitor/postgres_server_for_tests.hpp"
#include "trainer_host/fleet/monitor/store.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet::monitor {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// In files, or in PostgreSQL.
class HistoryFixture {
 protected:
  [[nodiscard]] HistoryOptions options() const {
    HistoryOptions options;
    options.folder = folder_.path() / "history";
    options.postgres = postgres_;
    options.gather = std::chrono::milliseconds(1);
    return options;
  }
  [[nodiscard]] std::unique_ptr<Store> store() const {
    if (postgres_.empty()) return open_file_store(options().folder);
    auto store = open_postgres_store(postgres_);
    EXPECT_THAT(store, IsOk());
    return std::move(*store);
  }
  // 2026-11-29 00:00 and so many hours.
  static Timestamp at(double hours) {
    return Timestamp(std::chrono::seconds(1'795'910'400 + static_cast<std::int64_t>(hours * 3600)));
  }
  void open(ByteCount most = ByteCount::mib(1000)) {
    history_.reset();
    HistoryOptions options = this->options();
    options.most = most;
    options.now = [this] { return now_.load(); };
    auto opened = FileHistory::open(options, [this](const std::vector<HistoryEntry>& entries) {
      const std::scoped_lock lock(mutex_);
      for (const HistoryEntry& entry : entries) kept_.emplace_back(entry.device, entry.id.sequence);
    });
    ASSERT_THAT(opened, IsOk());
    history_ = std::move(*opened);
  }
  static HistoryEntry sample(const std::string& device, std::uint64_t sequence, Timestamp when,
                             std::vector<double> calls = {}, double temperature = 50) {
    HistoryEntry entry;
    entry.device = device;
    entry.id = {7, sequence};
    entry.at = when;
    entry.received = when;
    entry.telemetry.emplace();
    messages::Telemetry& told = *entry.telemetry;
    told.header = {device, 7, sequence, when, true};
    told.device_class = device < "pi-5" ? "raspberry-pi-4" : "raspberry-pi-5";
    told.active_manifest = trust::sha256("m");
    told.active_variant = "int8";
    for (const double ms : calls) told.served.latency_ms.add(ms);
    told.served.calls = calls.size() + 1;
    told.served.errors = 1;
    told.temperature = temperature;
    told.throttled = messages::ThrottlingBits{temperature > 80 ? 0x4U : 0U, 0};
    return entry;
  }
  static HistoryEntry measured(const std::string& device, std::uint64_t sequence, Timestamp when, double p90,
                               bool is_void = false) {
    HistoryEntry entry;
    entry.device = device;
    entry.id = {7, sequence};
    entry.at = when;
    entry.received = when;
    entry.device_class = "raspberry-pi-4";
    entry.release = trust::sha256("m");
    messages::ReportedVariant variant;
    variant.name = "int8";
    variant.measurement.emplace();
    variant.measurement->calls = 100;
    variant.measurement->p90_ms = p90;
    variant.measurement->p50_ms = p90 * 0.9;
    if (is_void) variant.measurement->void_because = {"other work kept the processors busy"};
    variant.proof = {{"velocity", 4.5, 9}};
    entry.measured = {variant};
    return entry;
  }
  void add(HistoryEntry entry) { ASSERT_TRUE(history_->add(std::move(entry))); }
  Series series(Selection selection, std::optional<Resolution> resolution = {}) {
    selection.resolution = resolution;
    if (selection.to == Timestamp()) {
      selection.from = at(-24);
      selection.to = at(48);
    }
    const auto found = history_->series(selection);
    EXPECT_THAT(found, IsOk());
    return found.value_or(Series());
  }
  static Selection of(Measure measure, const std::string& device = "") {
    Selection selection;
    selection.measure = measure;
    selection.device = device;
    return selection;
  }
  // The span that a file of this name has.
  bool has_file(const std::string& name) {
    const auto all = store()->list();
    EXPECT_THAT(all, IsOk());
    return std::find(all->begin(), all->end(), *span_of(name)) != all->end();
  }
  std::size_t kept() {
    const std::scoped_lock lock(mutex_);
    return kept_.size();
  }

  TemporaryFolder folder_;
  std::string postgres_;  // a URL
  std::atomic<Timestamp> now_{at(12)};
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::uint64_t>> kept_;
  std::unique_ptr<FileHistory> history_;
};

class HistoryTest : public HistoryFixture, public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() != "PostgreSQL") return;
    if (!PostgresServer::is_here()) GTEST_SKIP() << "no PostgreSQL here: script/bootstrap --postgresql, then build again";
    static int number = 0;
    postgres_ = shared_postgres().make_database("history_" + std::to_string(++number));
  }
};
INSTANTIATE_TEST_SUITE_P(Kept, HistoryTest, ::testing::Values("InFiles", "PostgreSQL"), [](const auto& where) { return where.param; });

class HistoryFileTest : public HistoryFixture, public ::testing::Test {};

TEST_P(HistoryTest, gives_back_what_a_board_told) {
  open();
  add(sample("pi-1", 1, at(10), {8, 9, 10}, 55));
  add(sample("pi-1", 2, at(10.5), {20}, 85));
  add(sample("pi-2", 1, at(10.5), {100}, 40));
  history_->tend_now();
  EXPECT_EQ(kept(), 3U);
  const Series served = series(of(Measure::served_ms, "pi-1"));
  EXPECT_EQ(served.resolution, Resolution::raw);
  ASSERT_EQ(served.points.size(), 2U);
  EXPECT_EQ(served.points[0].at, at(10));
  EXPECT_EQ(served.points[0].values.count(), 3U);
  EXPECT_EQ(served.points[0].values.max(), 10.0);
  EXPECT_EQ(served.points[0].errors, 1U);
  EXPECT_EQ(served.points[1].throttled[2], 1U);
  const Series heat = series(of(Measure::temperature, "pi-1"));
  EXPECT_EQ(heat.points.at(1).values.max(), 85.0);
  std::size_t told = 0;
  history_->each_latest([&](const BoardSample&) { ++told; });
  EXPECT_EQ(told, 2U);
  EXPECT_EQ(history_->latest("pi-1")->temperature, 85.0);
  EXPECT_EQ(history_->latest("pi-1")->release, trust::sha256("m"));
  EXPECT_EQ(history_->latest("pi-9"), std::nullopt);
  EXPECT_THAT(history_->served_lately("pi-1"), ::testing::ElementsAre(::testing::DoubleNear(10, .2), ::testing::DoubleNear(20, .4)));
  EXPECT_TRUE(history_->served_lately("pi-9").empty());
}

// By histograms: an average of the boards' p90 would be 54.
TEST_P(HistoryTest, hours_and_days_are_what_all_samples_of_them_are_together) {
  open();
  LogHistogram all;
  std::mt19937 random(3);
  std::lognormal_distribution<double> latency(2, 0.7);
  std::uint64_t sequence = 0;
  for (int hour = 0; hour < 6; ++hour) {
    for (int minute = 0; minute < 60; minute += 20) {
      for (const std::string board : {"pi-1", "pi-2", "pi-3"}) {
        std::vector<double> calls(10);
        for (double& ms : calls) {
          ms = latency(random) * (board == "pi-3" ? 10 : 1);
          all.add(ms);
        }
        add(sample(board, ++sequence, at(hour + minute / 60.0), calls, 40 + hour));
      }
    }
  }
  now_ = at(25);
  history_->tend_now();
  EXPECT_TRUE(has_file("hour-2026-11-29.sqlite") && has_file("day-2026-11.sqlite"));
  Selection of_class = of(Measure::served_ms);
  of_class.device_class = "raspberry-pi-4";
  const Series hours = series(of_class, Resolution::hour);
  ASSERT_EQ(hours.points.size(), 6U);
  LogHistogram together;
  for (const Point& point : hours.points) {
    EXPECT_EQ(point.boards, 3U);
    EXPECT_EQ(point.samples, 9U);
    together.merge(point.values);
  }
  EXPECT_EQ(together.buckets(), all.buckets());
  const Series days = series(of_class, Resolution::day);
  ASSERT_EQ(days.points.size(), 1U);
  EXPECT_EQ(days.points[0].values.quantile(0.9), all.quantile(0.9));
  EXPECT_EQ(days.points[0].errors, 54U);
  EXPECT_EQ(series(of(Measure::served_ms, "pi-3"), Resolution::day).points.at(0).samples, 18U);
  EXPECT_EQ(series(of(Measure::temperature, "pi-1"), Resolution::hour).points.at(5).values.max(), 45.0);
  Selection other = of(Measure::served_ms);
  other.device_class = "raspberry-pi-5";
  EXPECT_TRUE(series(other, Resolution::hour).points.empty());
}

TEST_P(HistoryTest, a_sample_that_comes_late_is_in_its_hour_and_the_same_twice_is_one) {
  open();
  add(sample("pi-1", 1, at(3), {8}));
  now_ = at(10);
  history_->tend_now();
  history_.reset();  // an outcropd that is started anew merges at once
  open();
  add(sample("pi-1", 2, at(3.5), {9}));
  add(sample("pi-1", 2, at(3.5), {9}));
  history_->tend_now();
  EXPECT_EQ(kept(), 3U) << "a repeat is acknowledged, too";
  const Series hours = series(of(Measure::served_ms, "pi-1"), Resolution::hour);
  ASSERT_EQ(hours.points.size(), 1U);
  EXPECT_EQ(hours.points[0].samples, 2U);
}

TEST_P(HistoryTest, points_are_merged_where_there_are_more_than_are_wanted) {
  open();
  for (std::uint64_t i = 0; i < 120; ++i) {
    add(sample("pi-1", i + 1, at(static_cast<double>(i) / 60), {static_cast<double>(i + 1)}));
  }
  history_->tend_now();
  Selection selection = of(Measure::served_ms, "pi-1");
  selection.from = at(0);
  selection.to = at(2);
  selection.most_points = 8;
  const Series few = series(selection);
  ASSERT_EQ(few.points.size(), 8U);
  EXPECT_EQ(few.points[0].width, std::chrono::minutes(15));
  EXPECT_EQ(few.points[0].values.count(), 15U);
  EXPECT_EQ(few.points[7].values.max(), 120.0);
  selection.to = selection.from;
  EXPECT_THAT(history_->series(selection), ErrorIs(ErrorCode::invalid_argument, HasSubstr("ends after it begins")));
}

TEST_P(HistoryTest, a_matrix_of_class_release_and_variant) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  add(sample("pi-2", 1, at(10), {9}));
  add(sample("pi-7", 1, at(11), {3}));
  history_->tend_now();
  Selection selection = of(Measure::served_ms);
  selection.from = at(0);
  selection.to = at(12);
  const auto cells = history_->cells(selection);
  ASSERT_THAT(cells, IsOk());
  ASSERT_EQ(cells->size(), 2U);
  EXPECT_EQ(cells->at(1).device_class, "raspberry-pi-4");
  EXPECT_EQ(cells->at(1).point.values.count(), 2U);
  EXPECT_EQ(cells->at(1).variant, "int8");
}

TEST_P(HistoryTest, measurements_are_kept_as_they_were_and_once) {
  open();
  add(measured("pi-1", 1, at(1), 8));
  add(measured("pi-1", 2, at(2), 8));  // the same figures, told with another report
  add(measured("pi-1", 3, at(3), 9));
  add(measured("pi-1", 4, at(4), 30, true));
  history_->tend_now();
  const Series p90 = series(of(Measure::measured_p90_ms, "pi-1"));
  ASSERT_EQ(p90.points.size(), 3U);
  EXPECT_EQ(p90.points[0].values.max(), 8.0);
  EXPECT_EQ(p90.points[2].errors, 1U) << "a void one is no figure";
  EXPECT_TRUE(p90.points[2].values.empty());
  EXPECT_EQ(series(of(Measure::golden_error, "pi-1")).points.at(0).values.max(), 4.5);
}

// Boards that measured under load passed as valid, at p90 23 to 32 ms where they have 8 to 10.
TEST_P(HistoryTest, shows_what_is_far_from_a_boards_own_history_or_from_its_class) {
  open();
  std::uint64_t sequence = 0;
  for (int day = 0; day < 4; ++day) {
    for (const std::string board : {"pi-1", "pi-2", "pi-3", "pi-4"}) {
      add(measured(board, ++sequence, at(day * 2.0), 8 + 0.3 * day + (board == "pi-2" ? 0.5 : 0)));
    }
  }
  add(measured("pi-1", ++sequence, at(10), 26));   // under load
  add(measured("pi-2", ++sequence, at(10), 9.1));  // as ever
  add(measured("pi-9", ++sequence, at(10), 30));   // never measured before
  add(measured("pi-8", ++sequence, at(10), 8.8));
  history_->tend_now();
  const auto far = history_->outliers(at(9), at(11), 10);
  ASSERT_THAT(far, IsOk());
  ASSERT_EQ(far->size(), 2U);
  std::map<std::string, Outlier> by_board;
  for (const Outlier& outlier : *far) by_board[outlier.device] = outlier;
  EXPECT_THAT(by_board.at("pi-1").against, HasSubstr("its own 4 measurements"));
  EXPECT_NEAR(by_board.at("pi-1").usual_ms, 8.45, 0.01);
  EXPECT_THAT(by_board.at("pi-9").against, HasSubstr("other boards of its class"));
  EXPECT_TRUE(history_->outliers(at(0), at(8), 10)->empty());
}

TEST_P(HistoryTest, old_files_go) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  add(measured("pi-1", 2, at(10), 8));
  history_->tend_now();
  const auto pass_to = [&](double days) {
    // As days go by, hour by hour: not by a leap.
    now_ = at(24 * days);
    history_.reset();
    open();
    history_->add(sample("pi-2", static_cast<std::uint64_t>(days), at(24 * days), {8}));
    history_->tend_now();
    history_.reset();
    open();
    history_->tend_now();
  };
  pass_to(2.5);
  EXPECT_TRUE(has_file("raw-2026-11-29.sqlite"));
  pass_to(3.5);
  EXPECT_FALSE(has_file("raw-2026-11-29.sqlite"));
  EXPECT_TRUE(has_file("hour-2026-11-29.sqlite"));
  EXPECT_FALSE(series(of(Measure::served_ms, "pi-1"), Resolution::hour).points.empty());
  pass_to(32);
  EXPECT_FALSE(has_file("hour-2026-11-29.sqlite"));
  EXPECT_TRUE(has_file("day-2026-11.sqlite"));
}

TEST_P(HistoryTest, a_clock_that_leaps_removes_nothing) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  history_->tend_now();
  now_ = at(24 * 3000);
  history_->tend_now();
  EXPECT_TRUE(has_file("raw-2026-11-29.sqlite") && has_file("hour-2026-11-29.sqlite"));
  now_ = at(12);
  history_->tend_now();
  EXPECT_EQ(series(of(Measure::served_ms, "pi-1")).points.size(), 1U);
  // Nor does one that is wrong from the start.
  history_.reset();
  now_ = at(24 * 3000);
  open();
  history_->tend_now();
  EXPECT_TRUE(has_file("raw-2026-11-29.sqlite"));
  // One that stands for a day is believed.
  history_.reset();
  const auto kept_in = store();
  HistoryWriter writer(*kept_in, ByteCount::mib(1000));
  const auto steady = std::chrono::steady_clock::now();
  ASSERT_THAT(writer.tend(at(24 * 3000), steady), IsOk());
  EXPECT_TRUE(has_file("raw-2026-11-29.sqlite"));
  ASSERT_THAT(writer.tend(at(24 * 3001 + 1), steady + std::chrono::hours(25)), IsOk());
  EXPECT_FALSE(has_file("raw-2026-11-29.sqlite"));
}

TEST_P(HistoryTest, takes_no_more_of_the_disk_than_it_may) {
  const ByteCount most = postgres_.empty() ? ByteCount::kib(400) : ByteCount::kib(2000);  // whose smallest tables are larger
  open(most);
  std::uint64_t sequence = 0;
  for (int day = 0; day < 5; ++day) {
    for (int i = 0; i < 100; ++i) add(sample("pi-" + std::to_string(i), ++sequence, at(24 * day + 1), {8, 9, 10}));
  }
  now_ = at(24 * 4 + 2);
  history_->tend_now();
  const DiskUse use = history_->disk_use();
  EXPECT_LE(use.used, use.most);
  EXPECT_EQ(use.most, most);
  EXPECT_FALSE(has_file("raw-2026-11-29.sqlite")) << "the oldest samples go first";
  EXPECT_GT(use.files, 0U);
}

TEST_F(HistoryFileTest, says_so_where_today_alone_is_more_than_it_may_have_and_takes_no_more) {
  open(ByteCount::kib(30));
  add(sample("pi-1", 1, at(10), {8}));
  history_->tend_now();
  EXPECT_THAT(history_->health().problem, HasSubstr("nothing of today can go"));
  EXPECT_FALSE(history_->add(sample("pi-1", 2, at(11), {8})));
}

TEST_F(HistoryFileTest, names_a_file_of_a_newer_version_and_keeps_what_comes_until_it_is_gone) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  history_->tend_now();
  history_.reset();
  const fs::path file = folder_.path() / "history" / "raw-2026-11-29.sqlite";
  {
    auto database = Database::open(file);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(database->script("PRAGMA user_version = 9"), IsOk());
  }
  open();
  add(sample("pi-1", 2, at(11), {8}));
  history_->tend_now();
  EXPECT_THAT(history_->health().problem, HasSubstr("raw-2026-11-29.sqlite was written by a newer outcropd"));
  EXPECT_EQ(kept(), 1U) << "what is not kept is not acknowledged";
  EXPECT_EQ(history_->health().waiting, 1U);
}

TEST_F(HistoryFileTest, files_of_the_version_before_are_read_and_written_on) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  history_->tend_now();
  history_.reset();
  const fs::path folder = folder_.path() / "history";
  {
    auto raw = Database::open(folder / "raw-2026-11-29.sqlite");
    ASSERT_THAT(raw, IsOk());
    ASSERT_THAT(raw->script("ALTER TABLE raw DROP disk_written; ALTER TABLE raw DROP disk_worn; PRAGMA user_version = 1"), IsOk());
    auto hours = Database::open(folder / "hour-2026-11-29.sqlite");
    ASSERT_THAT(hours, IsOk());
    ASSERT_THAT(hours->script("ALTER TABLE merged DROP h6; ALTER TABLE merged DROP h7; PRAGMA user_version = 1"), IsOk());
  }
  open();
  EXPECT_EQ(history_->health().problem, "");
  EXPECT_EQ(history_->latest("pi-1")->temperature, 50);
  EXPECT_EQ(history_->latest("pi-1")->disk_worn, std::nullopt);
  HistoryEntry worn = sample("pi-1", 2, at(11), {8});
  worn.telemetry->disk_written = ByteCount::mib(3);
  worn.telemetry->disk_worn = .3;
  add(std::move(worn));
  history_->tend_now();
  EXPECT_EQ(series(of(Measure::disk_worn), Resolution::raw).points.back().values.max(), .3);
  EXPECT_EQ(series(of(Measure::disk_written), Resolution::hour).points.back().values.max(), 3 * 1024 * 1024);
}

TEST_F(HistoryFileTest, a_damaged_file_is_set_aside) {
  open();
  add(sample("pi-1", 1, at(10), {8}));
  history_->tend_now();
  history_.reset();
  const fs::path file = folder_.path() / "history" / "raw-2026-11-29.sqlite";
  fs::remove(file.string() + "-wal");
  ASSERT_THAT(write_file_durably(file, std::string(8192, 'x')), IsOk());
  open();
  add(sample("pi-1", 2, at(11), {8}));
  history_->tend_now();
  history_->tend_now();
  EXPECT_TRUE(fs::exists(file.string() + ".damaged"));
  EXPECT_EQ(kept(), 2U);
}

TEST_P(HistoryTest, adds_up_to_what_can_be_read_again_whatever_boards_told) {
  open();
  const auto told = [&](std::uint64_t sequence, double hour) {
    HistoryEntry entry = sample("pi-1", sequence, at(hour));
    const double calls = std::exp2(53);
    entry.telemetry->served = {LogHistogram::most_counted, 0, *LogHistogram::from_parts({{0, LogHistogram::most_counted}}, 1, 1, calls)};
    return entry;
  };
  add(measured("pi-1", 9, at(9), 8));
  for (std::uint64_t i = 1; i <= 3; ++i) add(told(i, 9 + 0.2 * static_cast<double>(i)));
  add(sample("pi-2", 1, at(9.5), {8, 9}));
  now_ = at(50);
  history_->tend_now();
  history_->tend_now();
  EXPECT_EQ(history_->health().problem, "");
  EXPECT_EQ(series(of(Measure::served_ms, "pi-2"), Resolution::day).points.size(), 1U);
  EXPECT_EQ(series(of(Measure::served_ms, "pi-1"), Resolution::day).points.size(), 1U);
  EXPECT_EQ(history_->outliers(at(0), at(48), 10)->size(), 0U) << "and says so: what was measured is there";
}

TEST_F(HistoryFileTest, a_row_that_does_not_read_costs_no_others_and_no_other_file) {
  open();
  add(measured("pi-1", 9, at(9), 8));
  add(sample("pi-1", 1, at(9), {8}));
  add(sample("pi-2", 1, at(9), {9}));
  history_->tend_now();
  history_.reset();
  const fs::path folder = folder_.path() / "history";
  const std::string rubbish =
      "UPDATE merged SET h0 = '1 1 1 0:0' WHERE key IN (SELECT id FROM key WHERE device = 'pi-1');INSERT OR IGNORE INTO pending VALUES (" +
      std::to_string(std::chrono::seconds(at(0).time_since_epoch()).count()) + ")";
  {
    auto database = Database::open(folder / "hour-2026-11-29.sqlite");
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(database->script(rubbish), IsOk());
  }
  open();
  history_->tend_now();
  EXPECT_EQ(history_->health().problem, "");
  EXPECT_EQ(series(of(Measure::served_ms, "pi-2"), Resolution::day).points.size(), 1U);
  EXPECT_TRUE(series(of(Measure::served_ms, "pi-1"), Resolution::day).points.empty());
  EXPECT_FALSE(fs::exists(folder / "day-2026-11.sqlite.damaged"));
}

// What was acknowledged is there, whenever the program is killed.
TEST_P(HistoryTest, a_kill_loses_nothing_that_was_acknowledged) {
  int pipes[2];
  ASSERT_EQ(::pipe(pipes), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    HistoryOptions options = this->options();
    options.now = [] { return at(12); };
    auto opened = FileHistory::open(options, [&](const std::vector<HistoryEntry>& entries) {
      for (const HistoryEntry& entry : entries) {
        const std::uint64_t number = entry.id.sequence;
        if (::write(pipes[1], &number, sizeof number) != sizeof number) ::_exit(2);
      }
    });
    for (std::uint64_t i = 1; opened; ++i) (void)(*opened)->add(sample("pi-1", i, at(10 + 1e-4 * static_cast<double>(i)), {8}));
    ::_exit(1);
  }
  ::close(pipes[1]);
  std::vector<std::uint64_t> acknowledged;
  std::uint64_t number = 0;
  while (acknowledged.size() < 50 && ::read(pipes[0], &number, sizeof number) == sizeof number) {
    acknowledged.push_back(number);
  }
  ::kill(child, SIGKILL);
  while (::read(pipes[0], &number, sizeof number) == sizeof number) acknowledged.push_back(number);
  ::close(pipes[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_GE(acknowledged.size(), 50U);
  const auto kept_in = store();
  const auto tables = kept_in->read(span_of(FileKind::raw, at(10)));
  ASSERT_THAT(tables, IsOk());
  ASSERT_NE(*tables, nullptr);
  std::set<std::uint64_t> there;
  ASSERT_THAT((*tables)->query("SELECT sequence FROM raw", {}, [&](const Tables::Row& row) {
    there.insert(static_cast<std::uint64_t>(row.integer(0)));
    return Status();
  }), IsOk());
  for (const std::uint64_t sequence : acknowledged) EXPECT_TRUE(there.contains(sequence)) << sequence;
}

// A full disk, as a limit on the size of files: in a child, since it counts for a whole process.
TEST_F(HistoryFileTest, waits_and_says_so_while_the_disk_is_full) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    HistoryOptions options = this->options();
    options.now = [] { return at(12); };
    std::atomic<std::size_t> kept = 0;
    auto opened = FileHistory::open(options, [&](const std::vector<HistoryEntry>& entries) { kept += entries.size(); });
    if (!opened) ::_exit(1);
    FileHistory& history = **opened;
    rlimit none{1024, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &none);
    if (!history.add(sample("pi-1", 1, at(10), {8}))) ::_exit(2);
    history.tend_now();
    if (kept != 0 || history.health().problem.empty() || history.health().waiting != 1) ::_exit(3);
    rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &all);
    history.tend_now();
    if (kept != 1 || !history.health().problem.empty()) ::_exit(4);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_P(HistoryTest, counts_what_was_refused_by_its_reason) {
  open();
  history_->count_refused("from the future");
  history_->count_refused("from the future");
  history_->count_refused("too often");
  EXPECT_EQ(history_->health().refused.at("from the future"), 2U);
}

TEST(HistoryFiles, are_named_by_their_time) {
  const Timestamp when(std::chrono::seconds(1'795'910'400 + 3600));
  EXPECT_EQ(file_name(span_of(FileKind::raw, when)), "raw-2026-11-29.sqlite");
  EXPECT_EQ(file_name(span_of(FileKind::day, when)), "day-2026-11.sqlite");
  EXPECT_EQ(span_of("hour-2026-11-29.sqlite"), span_of(FileKind::hour, when));
  EXPECT_EQ(span_of("day-2026-11.sqlite"), span_of(FileKind::day, when));
  for (const std::string name : {"registry.sqlite", "raw-2026-13-01.sqlite", "raw-2026-11-29.sqlite-wal",
                                 "raw-2026-11.sqlite", "day-2026-11-29.sqlite", "raw-2026-11-29.sqlite.damaged"}) {
    EXPECT_EQ(span_of(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace outcrop::fleet::monitor
