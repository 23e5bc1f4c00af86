#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/experiment/board_figures.hpp"
#include "trainer_host/trainer/experiment/figures.hpp"
#include "trainer_host/trainer/kinds/classifier/stripes_for_tests.hpp"
#include "trainer_host/trainer/kinds/text/sentences_for_tests.hpp"

namespace outcrop::experiment {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* a_training = R"([model]
name = "stripes"
kind = "classifier"
widths = [4]
hidden = 8
[data]
train = "data"
classes = ["across", "down", "squares"]
[train]
out = "run"
stage_epochs = 2
batch = 8
threads = 1
)";

// With the real program, on images that are learned in no time.
class ExperimentRun : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(classifier::write_stripes(path("data"), "train", 48, 1), IsOk());
    ASSERT_THAT(classifier::write_stripes(path("data"), "t10k", 12, 2), IsOk());
    std::ofstream(path("stripes.toml")) << a_training;
  }
  [[nodiscard]] fs::path path(const std::string& name) const { return folder_.path() / name; }
  void write(const std::string& experiment) const {
    std::ofstream(path("try.toml")) << "[experiment]\nname = \"stripes\"\nconfig = \"stripes.toml\"\n" << experiment;
  }
  ShellOutcome run(const std::string& more = "") const {
    return run_shell("cd " + folder_.path().string() + " && " OUTCROP_BIN "/outcrop-trainer experiment try.toml " + more);
  }
  [[nodiscard]] bool there(const std::string& file) const { return fs::exists(path("results/" + file)); }
  [[nodiscard]] nlohmann::json read(const std::string& file) const {
    return nlohmann::json::parse(*read_text_file(path("results/" + file)));
  }
  [[nodiscard]] static std::vector<std::string> forms_of(const nlohmann::json& metrics) {
    std::vector<std::string> names;
    for (const auto& form : metrics["forms"]) names.push_back(form["name"]);
    return names;
  }

  TemporaryFolder folder_;
};

TEST_F(ExperimentRun, makes_each_step_and_their_comparison_and_makes_nothing_twice) {
  write("steps = [\"baseline\", \"dynamic\", \"qat\", \"mine\"]\n[steps.qat]\nint8_epochs = 1\n[steps.mine]\nmethods = [\"fp16\"]\n");
  const ShellOutcome first = run();
  ASSERT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, AllOf(HasSubstr("== step 1 of 4: baseline"), HasSubstr("== step 4 of 4: mine"), HasSubstr(" left")));
#if defined(__x86_64__)
  // Those are for processors of 2004: what OpenBLAS takes for any that is newer than itself.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    EXPECT_THAT(first.output, Not(HasSubstr("OpenBLAS (Prescott)")));
  }
#endif
  EXPECT_THAT(forms_of(read("baseline/metrics.json")), ElementsAre("float", "float-mobile"));
  EXPECT_THAT(forms_of(read("dynamic/metrics.json")), ElementsAre("int8-dynamic"));
  EXPECT_THAT(forms_of(read("qat/metrics.json")), ElementsAre("int8-qat-quint8", "int8-qat"));
  EXPECT_THAT(forms_of(read("mine/metrics.json")), ElementsAre("fp16"));
  EXPECT_FALSE(read("baseline/metrics.json")["forms"][0].contains("mcnemar")) << "float beside itself";
  const auto metrics = read("dynamic/metrics.json");
  EXPECT_LE(metrics["forms"][0]["mcnemar"]["p"], 1.0);
  EXPECT_GT(metrics["forms"][0]["logits_sqnr_db"], 6.0);
  EXPECT_EQ(metrics["samples"], 12);
  EXPECT_EQ(metrics["held_out"], true);
  EXPECT_EQ(metrics["forms"][0]["metric"], "accuracy");
  EXPECT_GT(metrics["forms"][0]["disk_bytes"], 1000);
  EXPECT_LE(metrics["forms"][0]["score"]["low"], metrics["forms"][0]["score"]["value"]);
  for (const char* file : {"baseline/config.json", "baseline/comparison.csv", "baseline/training/training.csv",
                           "baseline/training/events.out.tfevents.0.outcrop", "qat/training/lineage.json", "qat/step.log",
                           "comparison/summary.csv", "comparison/report.html"}) {
    EXPECT_TRUE(there(file)) << file;
  }
  const auto summary = read_text_file(path("results/comparison/summary.csv"));
  EXPECT_THAT(*summary, AllOf(HasSubstr("\nfloat,baseline,"), HasSubstr("\nint8-qat,qat,"), HasSubstr("accuracy")));
  EXPECT_THAT(first.output, HasSubstr("McNemar p"));

  const ShellOutcome again = run();
  ASSERT_EQ(again.code, 0) << again.output;
  for (const char* step : {"baseline", "dynamic", "qat", "mine"}) {
    EXPECT_THAT(again.output, HasSubstr(std::string(step) + " is up to date"));
  }
  // What a kill left is made whole, and nothing else.
  fs::remove(path("results/dynamic/metrics.json"));
  const ShellOutcome after = run("--skip-training");
  ASSERT_EQ(after.code, 0) << after.output;
  EXPECT_THAT(after.output, AllOf(Not(HasSubstr("dynamic is up to date")), HasSubstr("mine is up to date")));
  EXPECT_TRUE(there("dynamic/metrics.json"));
  // Another method is another step's result, of the same training.
  write("steps = [\"baseline\", \"dynamic\", \"mine\"]\n[steps.mine]\nmethods = [\"bf16\"]\n");
  const ShellOutcome other = run("--only mine");
  ASSERT_EQ(other.code, 0) << other.output;
  EXPECT_THAT(forms_of(read("mine/metrics.json")), ElementsAre("bf16"));
  EXPECT_THAT(other.output, Not(HasSubstr("step 1 of 1: baseline")));

  fs::remove_all(path("results/comparison"));
  EXPECT_EQ(run("--only-comparison").code, 0);
  EXPECT_TRUE(there("comparison/summary.csv"));

  // These are that experiment's, and no other's.
  std::ofstream(path("try.toml")) << "[experiment]\nname = \"others\"\nconfig = \"stripes.toml\"\n";
  const ShellOutcome others = run();
  EXPECT_EQ(others.code, 1);
  EXPECT_THAT(others.output, HasSubstr("results of another experiment ('stripes', not 'others')"));
}

TEST_F(ExperimentRun, leaves_models_for_other_runtimes) {
  write("exports = [\"tflite\", \"keras\", \"safetensors\"]\nsteps = [\"baseline\", \"dynamic\", \"static\", \"qat\"]\n"
        "[steps.qat]\nint8_epochs = 1\n[steps.static]\nexports = [\"tflite\", \"onnx\"]\n");
  const ShellOutcome outcome = run();
  ASSERT_EQ(outcome.code, 0) << outcome.output;
  for (const char* file :
       {"dynamic/dynamic_range_quantized_model.tflite", "static/ptq_quantized_model.tflite", "static/ptq_quantized_model.onnx",
        "qat/qat_quantized_model.tflite", "qat/qat_model.keras", "qat/qat_model.safetensors", "qat/training/checkpoint",
        "baseline/baseline_model.keras", "baseline/baseline_model.safetensors", "qat/export.json"}) {
    EXPECT_TRUE(there(file)) << file;
  }
  EXPECT_FALSE(there("static/ptq_quantized_model.keras"));
  for (const char* step : {"baseline", "dynamic", "static", "qat"}) {
    EXPECT_TRUE(read(std::string(step) + "/metrics.json")["left_out"].empty()) << step;
  }
  // Of floats in int8 a quarter is left; and codes are those of the variant.
  const auto list = read("qat/export.json");
  EXPECT_TRUE(list["qat_quantized_model.tflite"]["operators"].contains("convolution in int8"));
  // What is not wanted any more is not left.
  write("steps = [\"baseline\", \"dynamic\"]\n");
  const ShellOutcome without = run("--only dynamic");
  ASSERT_EQ(without.code, 0) << without.output;
  EXPECT_FALSE(there("dynamic/dynamic_range_quantized_model.tflite"));
}

TEST_F(ExperimentRun, a_step_that_fails_is_named_and_the_others_are_made) {
  write("steps = [\"baseline\", \"dynamic\", \"qat\"]\n[steps.qat]\nint8_epochs = 1\n");
  ASSERT_EQ(run("--only baseline").code, 0);
  fs::create_directories(path("results/qat/training"));
  std::ofstream(path("results/qat/training/checkpoint")) << "no checkpoint";
  const ShellOutcome outcome = run();
  EXPECT_EQ(outcome.code, 1) << outcome.output;
  EXPECT_THAT(outcome.output, AllOf(HasSubstr("MISSING qat: "), HasSubstr("1 of 3 steps failed: qat")));
  EXPECT_TRUE(there("dynamic/metrics.json"));
  EXPECT_THAT(*read_text_file(path("results/comparison/report.html")), HasSubstr("checkpoint"));
}

TEST_F(ExperimentRun, refuses_what_is_wrong_before_any_step) {
  const auto refused = [&](const std::string& text, const std::string& why, const std::string& more = "") {
    write(text);
    const ShellOutcome outcome = run(more);
    EXPECT_NE(outcome.code, 0) << text;
    EXPECT_THAT(outcome.output, HasSubstr(why));
    EXPECT_FALSE(there("baseline"));
  };
  refused("steps = [\"statik\"]\n", "did you mean static?");
  refused("steps = [\"static\"]\n[steps.statik]\nrelease = true\n", "steps.statik: is not known here; did you mean steps.static?");
  refused("steps = [\"mine\"]\n[steps.mine]\nmethods = [\"gptq-4bits\"]\n", "gptq-4bit");
  refused("steps = [\"static\"]\n", "did you mean static?", "--only statik");
  refused("steps = [\"static\", \"static\"]\n", "names a step twice");
  refused("steps = [\"static\"]\n[steps.static]\nint8_epochs = 2\n", "int8_epochs");
  refused("steps = [\"static\"]\n[steps.static]\nrelease = true\n", "has no [release] that names keys");
  refused("exports = [\"tflight\"]\n", "there are tflite, onnx, keras, safetensors");
  refused("steps = [\"mine\"]\n[steps.mine]\nmethods = [\"fp16\"]\nexports = [\"tflite\"]\n", "nothing of this step can be left in tflite");
  refused("set = [\"train.batsh=4\"]\n", "did you mean train.batch?");
  refused("set = [\"data.train='nowhere'\"]\n", "nowhere");
  write("steps = [\"static\"]\n");
  EXPECT_THAT(run("--skip-training").output, HasSubstr("--skip-training trains none"));
}

// As they are shipped, of made-up sentences; trained and compared with an encoder that is small enough for a test.
TEST_F(ExperimentRun, of_texts_goes_through_as_its_configuration_is_shipped) {
  for (const char* name : {"text.toml", "experiment-text.toml"}) fs::copy_file(fs::path(OUTCROP_SOURCE "/configs") / name, path(name));
  text::write_sentences(path("texts"), 140, 1);
  const std::string command = "cd " + folder_.path().string() + " && " OUTCROP_BIN "/outcrop-trainer experiment ";
  const ShellOutcome checked = run_shell(command + "experiment-text.toml --check-config");
  EXPECT_EQ(checked.code, 0) << checked.output;

  std::string small = *read_text_file(path("experiment-text.toml"));
  small.replace(small.find("config = \"text.toml\"\n"), 0,
                "set = [\"model.layers=1\", \"model.width=16\", \"model.hidden=32\", \"model.length=24\", \"model.pieces=120\", "
                "\"data.held_out=60\", \"train.stage_epochs=6\", \"train.learning_rate=0.01\", \"train.threads=1\"]\n");
  small += "[steps.static]\nrelease = true\n[steps.qat]\nint8_epochs = 1\n";
  std::ofstream(path("small.toml")) << small;
  const std::string outcrop = "cd " + folder_.path().string() + " && " OUTCROP_BIN "/outcrop ";
  ASSERT_EQ(run_shell(outcrop + "keys init --dir keys --model news").code, 0);
  const ShellOutcome ran = run_shell(command + "small.toml");
  ASSERT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("McNemar p"), Not(HasSubstr("MISSING"))));
  for (const char* step : {"dynamic", "static", "qat", "mixed"}) {
    const auto metrics = nlohmann::json::parse(*read_text_file(path("results-text") / step / "metrics.json"));
    EXPECT_EQ(metrics["samples"], 60) << step;
    for (const auto& form : metrics["forms"]) {
      EXPECT_GT(form["score"]["value"], 0.8) << form;
      EXPECT_TRUE(form.contains("mcnemar")) << form;
    }
  }
  // What it signed is a release as any: the third step's is the model's third stage.
  const ShellOutcome proved = run_shell(outcrop + "bench results-text/static/releases/news-stage3 --keys keys --calls 2 --json");
  ASSERT_EQ(proved.code, 0) << proved.output;
  EXPECT_THAT(proved.output, AllOf(HasSubstr("int8-qint8"), Not(HasSubstr("\"failed\""))));
}

// The golden report of protocol 6 is a Raspberry Pi 4's.
TEST(Figures, of_boards_are_those_of_releases_that_steps_made) {
  const TemporaryFolder folder;
  const auto golden = read_text_file(OUTCROP_SOURCE "/protocol/messages/golden/v6/report.json");
  ASSERT_THAT(golden, IsOk());
  const auto report = nlohmann::json::parse(*golden);
  auto later = report;
  later["device"] = "board-2";
  later["variants"][0]["measurement"]["p50_ms"] = 14.25;
  auto older = report;
  older["variants"][0]["measurement"]["p50_ms"] = 99.0;
  auto disturbed = report;
  disturbed["device"] = "board-3";
  disturbed["variants"][0]["measurement"]["void_because"] = {"throttled"};
  auto of_others = report;
  of_others["device"] = "board-4";
  of_others["manifest"] = std::string(64, 'a');
  nlohmann::json reports = nlohmann::json::array();
  for (const auto& one : {report, later, older, disturbed, of_others}) reports.push_back({{"report", one}});
  const auto file = folder.path() / "boards.json";
  ASSERT_THAT(write_file_durably(file, std::string_view(nlohmann::json{{"reports", reports}}.dump())), IsOk());

  Experiment experiment;
  experiment.steps = {{.name = "baseline"}, {.name = "static"}};
  const ResultPaths paths(folder.path() / "results");
  const auto blobs = paths.step("static") / "releases" / "tiny-stage2" / "blobs";
  fs::create_directories(blobs);
  std::ofstream(blobs / report["manifest"].get<std::string>()) << "manifest";
  const auto figures = read_board_figures(file, experiment, paths);
  ASSERT_THAT(figures, IsOk());
  EXPECT_EQ(boards_csv(*figures), "device_class,result,form,boards,p50_ms,p90_ms,peak_memory_bytes\n"
                                  "raspberry-pi-4,static,int8-qint8,2,13.25,13.1,125829120\n");

  ASSERT_THAT(write_file_durably(file, std::string_view("{\"boards\": []}")), IsOk());
  EXPECT_THAT(read_board_figures(file, experiment, paths),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("outcrop fleet reports --json")));
}

TEST(Figures, of_shares_have_wilsons_interval_and_come_back_from_their_file) {
  messages::Quality quality;
  quality.samples = 100;
  quality.judged_by = "error";
  quality.model = {"float", {{"probabilities", {{{"accuracy", 0.9}, {"error", 0.1}}}}}};
  const Score score = score_of(quality);
  EXPECT_EQ(score.metric, "accuracy");
  EXPECT_NEAR(score.value.low, 0.8256, 1e-3);  // Wilson (1927): of 90 in 100
  EXPECT_NEAR(score.value.high, 0.9448, 1e-3);
  quality.model = {"float", {{"out", {{{"rmse", 2.5}}}}}};
  quality.judged_by = "rmse";
  EXPECT_EQ(score_of(quality).metric, "rmse");
  EXPECT_EQ(score_of(quality).value.low, 2.5);

  StepFigures figures{.digest = "d", .step = "static", .seconds = 3, .samples = 100, .held_out = true};
  analyze::Contender int8;
  int8.name = "int8";
  int8.disk = 1234;
  int8.p50_ms = 1.5;
  int8.metric = "accuracy";
  int8.score = score.value;
  int8.mcnemar = analyze::mcnemar(3, 1);
  int8.logits_db = 31.5;
  figures.contenders = {int8};
  figures.left_out = {{"int8-mixed", "why"}};
  const TemporaryFolder folder;
  ASSERT_THAT(write_file_durably(folder.path() / "metrics.json", std::string_view(to_json(figures))), IsOk());
  const auto read = read_figures(folder.path() / "metrics.json");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->step, "static");
  ASSERT_EQ(read->contenders.size(), 1U);
  EXPECT_EQ(read->contenders[0].score->value, 0.9);
  EXPECT_EQ(read->contenders[0].p50_ms, 1.5);
  ASSERT_TRUE(read->contenders[0].mcnemar);
  EXPECT_EQ(read->contenders[0].mcnemar->only_before, 3U);
  EXPECT_EQ(read->contenders[0].mcnemar->only_after, 1U);
  EXPECT_NEAR(read->contenders[0].mcnemar->p, 0.625, 1e-9);
  EXPECT_EQ(read->contenders[0].logits_db, 31.5);
  EXPECT_EQ(read->left_out, figures.left_out);
}

}  // namespace
}  // namespace outcrop::experiment
