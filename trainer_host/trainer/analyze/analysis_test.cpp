#include "trainer_host/trainer/analyze/analysis.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/analyze/analysis_page.hpp"
#include "trainer_host/trainer/analyze/analysis_text.hpp"
#include "trainer_host/trainer/analyze/charts.hpp"
#include "trainer_host/trainer/analyze/contender_page.hpp"
#include "trainer_host/trainer/analyze/read_results.hpp"
#include "trainer_host/trainer/analyze/summary.hpp"
#include "trainer_host/trainer/analyze/svg.hpp"
#include "trainer_host/trainer/analyze/transfer_size.hpp"

namespace outcrop::analyze {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

double as_it_is(double mean) {
  return mean;
}

TEST(Statistics, mcnemars_test_is_the_binomials_two_tails) {
  EXPECT_DOUBLE_EQ(mcnemar(0, 0).p, 1.0);
  EXPECT_DOUBLE_EQ(mcnemar(3, 3).p, 1.0);
  EXPECT_NEAR(mcnemar(0, 10).p, 2.0 / 1024, 1e-12);
  EXPECT_NEAR(mcnemar(5, 15).p, 2.0 * 21700 / 1048576, 1e-9);  // 1 + 20 + 190 + 1140 + 4845 + 15504 = 21700
  EXPECT_NEAR(mcnemar(15, 5).p, mcnemar(5, 15).p, 1e-15);
  EXPECT_GT(mcnemar(4000, 4100).p, 0.2);  // 2^-8100 is no double
  EXPECT_LT(mcnemar(4000, 4100).p, 0.3);
}

TEST(Statistics, a_bootstrap_interval_is_that_of_the_normal_distribution_for_many_rows) {
  std::vector<double> rows(400, 1.0);
  std::fill(rows.begin(), rows.begin() + 80, 0.0);
  const Interval interval = bootstrap(rows, as_it_is);
  const double half = 1.96 * std::sqrt(0.8 * 0.2 / 400);
  EXPECT_DOUBLE_EQ(interval.value, 0.8);
  EXPECT_NEAR(interval.low, 0.8 - half, 0.006);
  EXPECT_NEAR(interval.high, 0.8 + half, 0.006);
  const Interval again = bootstrap(rows, as_it_is);
  EXPECT_EQ(interval.low, again.low);
  EXPECT_EQ(interval.high, again.high);
}

TEST(Statistics, a_change_is_of_the_same_rows_of_both) {
  std::vector<double> before;
  std::vector<double> after;
  for (int i = 0; i < 200; ++i) {
    before.push_back(i % 7);
    after.push_back(i % 7 + 1.0);
  }
  const Interval change = bootstrap_change(before, after, as_it_is);
  EXPECT_NEAR(change.low, 1.0, 1e-9);  // however rows are drawn
  EXPECT_NEAR(change.high, 1.0, 1e-9);
  EXPECT_GT(bootstrap(after, as_it_is).high - bootstrap(after, as_it_is).low, 0.3);
}

TEST(Distance, is_signal_over_noise_in_decibels) {
  const Distance distance{.signal = 25, .noise = 0.25, .sum = 0.5, .most = 0.5, .values = 2};
  EXPECT_DOUBLE_EQ(*distance.sqnr_db(), 20.0);
  EXPECT_FALSE(distance.exact());
  EXPECT_FALSE((Distance{.signal = 25, .values = 2}).sqnr_db());
  EXPECT_TRUE((Distance{.signal = 25, .values = 2}).exact());
  EXPECT_FALSE((Distance{.noise = 1, .sum = 1, .most = 1, .values = 2}).sqnr_db());  // no signal
  EXPECT_FALSE(Distance{}.exact());
}

Layer layer_of(const std::string& name, double noise) {
  Layer layer;
  layer.name = name;
  layer.operation = "conv2d";
  layer.format = "int8";
  layer.float_operator = "aten::conv2d";
  layer.quantized_operator = "quantized::conv2d_relu";
  layer.compared_after = "relu";
  layer.computes_in_codes = true;
  layer.weights = 72;
  layer.multiply_adds = 4608;
  layer.output = Distance{.signal = 100, .noise = noise, .sum = 1, .most = 0.5, .values = 10};
  layer.weight = layer.output;
  layer.activations.emplace();
  layer.activations->before.least = layer.activations->after.least = -1;
  layer.activations->before.most = layer.activations->after.most = 2;
  layer.activations->before.counts[3] = layer.activations->after.counts[4] = 10;
  layer.weight_values = layer.activations;
  return layer;
}

Form form_of(const std::string& name, const std::string& role, std::uint64_t disk, double p50) {
  Form form;
  form.name = name;
  form.role = role;
  form.disk = disk;
  form.transfer = disk / 2;
  form.memory = 50'000'000 + disk;
  form.p50_ms = p50;
  form.p90_ms = 1.2 * p50;
  form.calls = 100;
  return form;
}

// With names as nobody should give them.
Analysis some_analysis() {
  Analysis analysis;
  analysis.original = "a<b>&\"c\".ptl";
  analysis.quantized = "x_int8-qint8.ptl";
  analysis.variant = "int8-qint8";
  analysis.method = "static";
  analysis.called = "forward(Tensor x) -> Tensor";
  analysis.rows_from = "rows";
  analysis.rows = 64;
  analysis.float_operators = {{"aten::conv2d", 3}};
  analysis.quantized_operators = {{"quantized::conv2d_relu", 3}, {"aten::quantize_per_tensor", 1}};
  analysis.layers = {layer_of("good", 0.01), layer_of("</td><script>alert(1)</script>", 10), layer_of("fair", 0.1)};
  analysis.coverage.formats = {{"int8", 1.0, 0.97}, {"float", 0.0, 0.03}};
  analysis.coverage.multiply_adds_in_codes = 0.9999;
  analysis.coverage.multiply_adds = 13824;
  analysis.islands = {{"between good and fair", true, {}, {{"aten::layer_norm", 2}}, 0}};
  analysis.outputs = {{"output", Distance{.signal = 1000, .noise = 1, .sum = 5, .most = 0.4, .values = 100}}};
  analysis.forms = {form_of("float", "original", 4'000'000, 10), form_of("float-mobile", "fast float", 3'900'000, 6),
                    form_of("int8-qint8", "quantized", 1'000'000, 3)};
  analysis.task = TaskComparison{"accuracy", true, 100, {0.9, 0.84, 0.95}, {0.89, 0.83, 0.94}, {-0.01, -0.03, 0.01},
                                 mcnemar(2, 1), "", 31.25};
  analysis.remarks = {"a remark | with a bar"};
  return analysis;
}

// Every tag that opens closes, in order; text of style and script is passed over.
std::string first_unclosed(std::string html) {
  html = std::regex_replace(html, std::regex("<(style|script)>[^<]*</(style|script)>"), "");
  static const std::regex tag("<(/?)([a-zA-Z0-9]+)([^<>]*?)(/?)>");
  std::vector<std::string> open;
  for (std::sregex_iterator at(html.begin(), html.end(), tag), end; at != end; ++at) {
    const std::string name = (*at)[2];
    if ((*at)[4].length() > 0) continue;
    if ((*at)[1].length() == 0) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return "</" + name + ">";
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "<" + open.back() + ">";
}

void expect_stands_alone(const std::string& html) {
  EXPECT_EQ(first_unclosed(html), "");
  EXPECT_THAT(html, AllOf(HasSubstr("<!DOCTYPE html>"), HasSubstr("prefers-color-scheme: dark"), HasSubstr("@media print")));
  for (const char* outside : {"http:", "https:", "src=", "href=", "@import", "url("}) {
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  }
}

TEST(Report, is_one_page_that_stands_alone_and_takes_no_name_for_markup) {
  const std::string html = analysis_page(some_analysis(), 20);
  expect_stands_alone(html);
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<script>alert")), HasSubstr("&lt;script&gt;alert(1)"),
                          HasSubstr("a&lt;b&gt;&amp;&quot;c&quot;"), HasSubstr("fill warn")));
  Analysis unmatched = some_analysis();
  unmatched.layers.clear();
  unmatched.forms.clear();
  unmatched.unmatched = "2 layers ran & 3";
  expect_stands_alone(analysis_page(unmatched, 20));
}

TEST(Report, says_first_what_one_would_tell) {
  const auto sentences = summary_of(some_analysis());
  ASSERT_EQ(sentences.size(), 4U);
  EXPECT_THAT(sentences[0], AllOf(HasSubstr("0.25 of float's size"), HasSubstr("2.00 × as fast as the fastest float form "
                                                                             "(float-mobile")));
  EXPECT_THAT(sentences[1], HasSubstr("30.0 dB"));
  EXPECT_THAT(sentences[2], HasSubstr("do not tell apart"));
  EXPECT_THAT(sentences[3], AllOf(HasSubstr("> 99.9 %"), HasSubstr("at 10.0 dB")));
}

TEST(Report, has_all_figures_as_json) {
  const auto json = nlohmann::json::parse(analysis_json(some_analysis()));
  for (const char* key : {"original", "quantized", "variant", "summary", "forms", "outputs", "task", "coverage",
                          "quantize_calls", "float_islands", "operators", "layers", "unmatched", "remarks"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["layers"].size(), 3U);
  EXPECT_NEAR(json["layers"][0]["output"]["sqnr_db"].get<double>(), 40.0, 1e-9);
  EXPECT_EQ(json["layers"][0]["activation_histogram"]["before"].size(), Histogram::bins);
  EXPECT_EQ(json["task"]["mcnemar"]["only_before"], 2);
  Analysis equal = some_analysis();
  equal.outputs[0].distance.noise = 0;
  const auto exact = nlohmann::json::parse(analysis_json(equal))["outputs"][0];
  EXPECT_TRUE(exact["sqnr_db"].is_null());
  EXPECT_EQ(exact["exact"], true);
}

TEST(Report, has_a_line_a_layer_as_csv_and_the_worst_first_as_text) {
  const std::string csv = layers_csv(some_analysis());
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  EXPECT_THAT(csv, HasSubstr("good,conv2d,int8,aten::conv2d,quantized::conv2d_relu,relu,yes,72,4608,40,no,0.1,0.5,40\n"));
  const std::string text = analysis_markdown(some_analysis(), 20);
  EXPECT_LT(text.find("| fair |"), text.find("| good |"));
  EXPECT_THAT(text, AllOf(HasSubstr("2 × aten::layer\\_norm"), HasSubstr("a remark \\| with a bar")));
}

TEST(Report, is_drawn_and_a_picture_of_nothing_is_removed) {
  const TemporaryFolder folder;
  const auto has = [&](const char* name) { return std::filesystem::exists(folder.path() / name); };
  ASSERT_THAT(draw_charts(some_analysis(), folder.path()), IsOk());
  for (const char* name : {"error.png", "size.png", "speed.png", "error_against_size.png", "radar.png", "dashboard.png"}) {
    EXPECT_TRUE(has(name)) << name;
  }
  Analysis unmeasured = some_analysis();
  for (Form& form : unmeasured.forms) form.p50_ms = form.p90_ms = std::nullopt;
  ASSERT_THAT(draw_charts(unmeasured, folder.path()), IsOk());
  EXPECT_FALSE(has("speed.png"));
}

TEST(Charts, of_scores_show_how_sure_these_are) {
  const std::vector<Dot> sure{{"float", 24, 0.9332}, {"int8", 6, 0.9329}};
  EXPECT_THAT(scatter_chart("scores", "MB", "accuracy", sure, /*from_zero=*/false), Not(HasSubstr("class=\"axis\"")));
  std::vector<Dot> unsure = sure;
  for (Dot& dot : unsure) dot.interval = std::pair(dot.y - 0.005, dot.y + 0.005);
  const std::string chart = scatter_chart("scores", "MB", "accuracy", unsure, /*from_zero=*/false);
  EXPECT_THAT(chart, AllOf(HasSubstr("class=\"axis\""), HasSubstr(">0.93<"), HasSubstr(">0.935<")));
}

TEST(Transfer, size_is_that_of_the_packed_file) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "zeros";
  ASSERT_THAT(write_file_durably(file, std::string(1'000'000, '0')), IsOk());
  const auto packed = transfer_size(file);
  ASSERT_THAT(packed, IsOk());
  EXPECT_GT(packed->value(), 10U);
  EXPECT_LT(packed->value(), 500U);
  EXPECT_THAT(transfer_size(folder.path() / "none"), ErrorIs(ErrorCode::not_found, HasSubstr("none")));
}

class Results : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    ASSERT_THAT(write_file_durably(folder_.path() / name, text), IsOk());
  }
  [[nodiscard]] static std::string stage(int number, double error) {
    const std::string stem = "net_stage" + std::to_string(number) + "_";
    return R"({"variants": [{"name": "float", "file": ")" + stem + R"(float.ptl", "size": 4000,
      "output": {"average_abs_error": 0}}, {"name": "int8-qint8", "file": ")" + stem + R"(int8-qint8.ptl", "size": 1000,
      "int8_share": {"modules": 1, "parameters": 1, "multiply_adds": 0.9},
      "output": {"average_abs_error": )" + std::to_string(error) + "}}]}";
  }
  TemporaryFolder folder_;
};

TEST_F(Results, of_the_stages_of_a_run_and_of_an_analysis_stand_beside_each_other) {
  write("run/stage2/quantization.json", stage(2, 0.25));
  write("run/stage10/quantization.json", stage(10, 0.125));
  write("run/quantization_performance.csv",
        "model,stage,variant,p50_ms,p90_ms,peak_memory_bytes\nnet,10,int8-qint8,1.5,2,50000000\nnet,2,float,,,\n");
  write("report/metrics.json", analysis_json(some_analysis()));
  const auto read = read_results({folder_.path() / "run", folder_.path() / "report"});
  ASSERT_THAT(read, IsOk());
  std::vector<std::string> names;
  for (const Contender& one : *read) names.push_back(one.name);
  // Both stages have float of one size: once.
  EXPECT_THAT(names, ElementsAre("float (stage2)", "int8-qint8 (stage2)", "int8-qint8 (stage10)", "float (report)",
                                 "float-mobile", "int8-qint8 (report)"));
  EXPECT_FALSE(read->at(1).p50_ms);
  EXPECT_EQ(read->at(2).p50_ms, 1.5);
  EXPECT_EQ(read->at(2).memory, 50'000'000U);
  EXPECT_EQ(read->at(2).error, 0.125);
  EXPECT_NEAR(*read->at(5).sqnr_db, 30.0, 1e-9);
  ASSERT_TRUE(read->at(5).score);
  EXPECT_EQ(read->at(5).score->value, 0.89);
  ASSERT_TRUE(read->at(5).mcnemar);
  EXPECT_EQ(read->at(5).mcnemar->only_before, 2U);
  EXPECT_EQ(read->at(5).logits_db, 31.25);
  EXPECT_FALSE(read->at(3).mcnemar) << "float beside itself";
  EXPECT_THAT(comparison_page(*read, {"run", "report"}), AllOf(HasSubstr("2 : 1, p 1"), HasSubstr("31.2 dB")));
  expect_stands_alone(comparison_page(*read, {"run", "report"}));
  const std::string csv = contenders_csv(*read);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 7);
}

TEST_F(Results, that_are_none_are_refused_by_name) {
  write("other/notes.txt", "x");
  EXPECT_THAT(read_results({folder_.path() / "other"}), ErrorIs(ErrorCode::not_found, HasSubstr("other holds no result")));
  write("bad/metrics.json", "{\"forms\": 3}");
  EXPECT_THAT(read_results({folder_.path() / "bad"}),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("bad/metrics.json"), HasSubstr("forms"))));
  write("worse/metrics.json", "no json");
  EXPECT_THAT(read_results({folder_.path() / "worse"}), ErrorIs(ErrorCode::invalid_data, HasSubstr("worse/metrics.json")));
}

}  // namespace
}  // namespace outcrop::analyze
