#include "trainer_host/trainer/quantize/performance.hpp"

#include <gtest/gtest.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

PerformanceRow row(int stage, const std::string& variant, double p50) {
  PerformanceRow made;
  made.model = "small";
  made.stage = stage;
  made.variant.name = variant;
  made.variant.size = ByteCount(1000);
  made.steady.calls = 100;
  made.steady.p50 = runtime::Milliseconds(p50);
  return made;
}

TEST(PerformanceTable, has_one_row_for_each_stage_and_variant_however_often_it_is_written) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "quantization_performance.csv";
  ASSERT_THAT(update_performance_csv(path, {row(2, "float", 20.25), row(2, "int8", 2.5)}), IsOk());
  ASSERT_THAT(update_performance_csv(path, {row(1, "float", 21.25)}), IsOk());
  ASSERT_THAT(update_performance_csv(path, {row(2, "float", 22.75)}), IsOk());
  auto text = read_text_file(path);
  ASSERT_THAT(text, IsOk());
  EXPECT_EQ(std::count(text->begin(), text->end(), '\n'), 4);
  EXPECT_THAT(*text, AllOf(HasSubstr("22.75"), HasSubstr("21.25"), Not(HasSubstr("20.25"))));
  EXPECT_LT(text->find("small,1,float"), text->find("small,2,float"));
  EXPECT_LT(text->find("small,2,float"), text->find("small,2,int8"));
}

TEST(PerformanceTable, marks_what_was_not_measured_and_says_why) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "quantization_performance.csv";
  ExportedStage exported;
  exported.variants.resize(2);
  exported.variants[0].name = "float";
  exported.variants[1].name = "int8";
  const auto rows = unmeasured_rows(exported, "small", 1, "no runner starts here");
  ASSERT_THAT(update_performance_csv(path, rows), IsOk());
  EXPECT_THAT(*read_text_file(path), AllOf(HasSubstr("small,1,float,0,,,0,,,,,,,,,0,"),
                                           Not(HasSubstr("yes")), HasSubstr(",no\n")));
  EXPECT_THAT(performance_table(rows),
              AllOf(HasSubstr("–"), HasSubstr("not measured: float, int8: no runner starts here\n")));
  EXPECT_THAT(performance_table({row(1, "float", 20.25)}), Not(HasSubstr("not measured")));
}

TEST(Remarks, name_the_first_range_that_says_nothing_and_count_the_others) {
  ExportedStage exported;
  exported.variants.resize(1);
  exported.variants[0].name = "int8";
  EXPECT_EQ(remarks_text(exported), "");
  exported.variants[0].degenerate = {{"net.input", "calibration saw one value only, 0"}};
  EXPECT_EQ(remarks_text(exported), "note: int8, range of net.input: calibration saw one value only, 0\n");
  exported.variants[0].degenerate.push_back({"net.a", "calibration never saw it"});
  EXPECT_THAT(remarks_text(exported), HasSubstr("only, 0; 1 more in quantization.json\n"));
}

TEST(PerformanceTable, of_an_older_version_or_another_kind_gains_columns) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "quantization_performance.csv";
  ASSERT_THAT(write_file_durably(path, std::string_view("model,stage,variant,size_bytes,old_mae\n"
                                                        "small,1,float,7,0.5\n")),
              IsOk());
  PerformanceRow other = row(2, "float", 1.5);
  other.likeness_name = "SSIM";
  other.units = {{"map", "m/s"}};
  other.variant.outputs["map"] = {.average_abs_error = 2.5, .likeness = 0.75};
  ASSERT_THAT(update_performance_csv(path, {other}), IsOk());
  const auto text = read_text_file(path);
  EXPECT_THAT(*text, AllOf(HasSubstr("model,stage,variant,size_bytes,load_ms,"),
                           HasSubstr("map_ssim,map_mae_m_per_s,"), HasSubstr("old_mae"),
                           HasSubstr("small,1,float,7,"), HasSubstr(",0.75,2.5,")));
  EXPECT_THAT(performance_table({other}), HasSubstr("map m/s, map dB, map SSIM: against float"));
}

TEST(PerformanceTable, a_file_of_another_kind_is_refused_and_kept) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "quantization_performance.csv";
  ASSERT_THAT(write_file_durably(path, std::string_view("my notes\n")), IsOk());
  EXPECT_THAT(check_performance_csv(path), ErrorIs(ErrorCode::invalid_data, HasSubstr("line 1")));
  EXPECT_THAT(check_performance_csv(folder.path() / "none.csv"), IsOk());
  EXPECT_THAT(update_performance_csv(path, {row(1, "float", 1)}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("line 1")));
  EXPECT_EQ(*read_text_file(path), "my notes\n");
}

}  // namespace
}  // namespace outcrop::quantize
