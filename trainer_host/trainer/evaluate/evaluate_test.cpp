#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/synth.hpp"
#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"
#include "trainer_host/trainer/evaluate/evaluation.hpp"
#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::evaluate {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Data and an untrained generator's stage folder, made once.
class Evaluate : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    fs::create_directory(stage());
    data::SynthOptions synth;
    synth.count = 5;
    synth.seed = 4;
    synth.threads = 2;
    synth.out = data();
    made_ = data::synthesize(synth, {}).has_value();
    const auto latents = quantize::small_latents(24);
    made_ = made_ &&
            quantize::export_variants(
                quantize::small_export(quantize::make_small_generator(), latents), stage(),
                "small_stage1")
                .has_value();
  }
  static void TearDownTestSuite() { delete folder_; }
  void SetUp() override { ASSERT_TRUE(made_); }

  static fs::path data() { return folder_->path() / "data"; }
  static fs::path stage() { return folder_->path() / "stage1"; }

  static int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"outcrop", "evaluate"});
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    return cli::run_program("outcrop", "test", static_cast<int>(pointers.size()), pointers.data(),
                            {add_evaluate});
  }

  static TemporaryFolder* folder_;
  static bool made_;
};
TemporaryFolder* Evaluate::folder_ = nullptr;
bool Evaluate::made_ = false;

TEST_F(Evaluate, scores_reconstructions_beside_baselines) {
  auto files = find_stage_files(stage(), std::nullopt, {});
  auto dataset = data::Dataset::open(data());
  ASSERT_THAT(files, IsOk());
  ASSERT_THAT(dataset, IsOk());
  const auto training = data::DatasetList::open({data()});
  ASSERT_THAT(training, IsOk());
  EvaluationInputs inputs{.data = *dataset, .training = &*training, .generated = 8, .progress = {}};
  auto result = evaluate(*files, inputs);
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->samples, 5U);
  ASSERT_EQ(result->variants.size(), 2U);
  EXPECT_EQ(result->variants[0].name, "float");
  EXPECT_EQ(result->variants[1].name, "int8-qint8");
  ASSERT_EQ(result->baselines.size(), 3U);
  // The mean is the best constant map under RMSE, so it beats 3000 m/s on its own data.
  const Scores& mean = *result->baselines[0].scores;
  const Scores& silence = *result->baselines[2].scores;
  EXPECT_LT(mean.velocity.rmse, silence.velocity.rmse);
  EXPECT_LT(mean.gathers.rmse, silence.gathers.rmse);
  EXPECT_DOUBLE_EQ(silence.gather_error.whole, 1.0);
  EXPECT_DOUBLE_EQ(*silence.gather_error.reflections, 1.0);
  // An untrained model is no better than that mean.
  EXPECT_GT(result->variants[0].scores->velocity.rmse, mean.velocity.rmse);
  EXPECT_GT(*result->variants[0].scores->gather_error.reflections, *mean.gather_error.reflections);
  EXPECT_GT(result->generated.diversity, 0.0);
  ASSERT_TRUE(result->generated.data_nearest.has_value());
  EXPECT_EQ(*result->generated.data_nearest, 0.0);  // these are the training maps themselves
  EXPECT_GT(*result->generated.closest, 0.0);
  EXPECT_TRUE(result->remarks.empty());
}

TEST_F(Evaluate, shows_generated_maps_in_rows_of_their_own_beside_the_solvers_gathers) {
  auto files = find_stage_files(stage(), std::nullopt, {"float"});
  auto dataset = data::Dataset::open(data());
  ASSERT_THAT(files, IsOk());
  ASSERT_THAT(dataset, IsOk());
  const auto training = data::DatasetList::open({data()});
  ASSERT_THAT(training, IsOk());
  auto result = evaluate(*files, {.data = *dataset,
                                  .training = &*training,
                                  .other = &*dataset,
                                  .other_label = "again",
                                  .generated = 8,
                                  .progress = {}});
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->reconstructed_rows.size(), 4U);
  EXPECT_EQ(result->reconstructed_rows.back().label, "again");
  ASSERT_EQ(result->generated_rows.size(), 3U);
  for (const GalleryRow& row : result->generated_rows) {
    EXPECT_NE(row.model_gather, row.solver_gather);
    data::AcousticSolver solver;
    ASSERT_THAT(solver.set_velocity(row.model_map), IsOk());
    std::vector<float> gather(row.solver_gather.size());
    solver.shoot(2, gather);
    EXPECT_EQ(row.solver_gather, gather);
    EXPECT_EQ(row.reference_map.size(), row.model_map.size());
  }
}

TEST_F(Evaluate, compares_a_single_sample_with_nothing_that_is_itself) {
  const fs::path one = folder_->path() / "one";
  data::SynthOptions synth;
  synth.count = 1;
  synth.out = one;
  ASSERT_THAT(data::synthesize(synth, {}), IsOk());
  auto files = find_stage_files(stage(), std::nullopt, {"float"});
  auto dataset = data::Dataset::open(one);
  ASSERT_THAT(files, IsOk());
  ASSERT_THAT(dataset, IsOk());
  auto result = evaluate(*files, {.data = *dataset, .generated = 8, .progress = {}});
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->baselines.size(), 3U);
  EXPECT_FALSE(result->baselines[0].scores.has_value()) << result->baselines[0].name;
  EXPECT_FALSE(result->baselines[1].scores.has_value()) << result->baselines[1].name;
  EXPECT_TRUE(result->baselines[2].scores.has_value());
  EXPECT_FALSE(result->generated.data_diversity.has_value());

  ::testing::internal::CaptureStdout();
  const int status = run({stage().string(), one.string(), "--generated", "8"});
  const std::string said = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(status, 0);
  EXPECT_THAT(said, HasSubstr("not available"));
}

TEST_F(Evaluate, writes_gallery_and_figures) {
  const fs::path out = folder_->path() / "out";
  ASSERT_EQ(run({stage().string(), data().string(), "--train", data().string(), "--other",
                 data().string(), "--generated", "8", "--out", out.string()}),
            0);
  EXPECT_GT(fs::file_size(out / "gallery.png"), 10'000U);
  auto text = read_text_file(out / "evaluation.json");
  ASSERT_THAT(text, IsOk());
  const auto json = nlohmann::json::parse(*text);
  EXPECT_EQ(json.at("model"), "small");
  EXPECT_EQ(json.at("stage"), 1);
  EXPECT_EQ(json.at("reconstructions").size(), 2U);
  EXPECT_EQ(json.at("gallery"), "gallery.png");
  EXPECT_EQ(json.at("baselines").at(2).at("gathers").at("reflections_relative_error"), 1.0);
}

TEST_F(Evaluate, keeps_its_scores_where_nothing_can_be_drawn) {
  const fs::path out = folder_->path() / "undrawn";
  fs::create_directory(out);
  ASSERT_THAT(write_file_durably(out / "gallery.png", std::string_view("of another model")),
              IsOk());
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", folder_->path().c_str(), 1);
  const int status =
      run({stage().string(), data().string(), "--generated", "8", "--out", out.string()});
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(status, 0);
  auto text = read_text_file(out / "evaluation.json");
  ASSERT_THAT(text, IsOk());
  const auto json = nlohmann::json::parse(*text);
  EXPECT_TRUE(json.at("gallery").is_null());
  EXPECT_THAT(json.at("no_gallery").get<std::string>(), HasSubstr("gnuplot-nox"));
  EXPECT_EQ(json.at("reconstructions").size(), 2U);
  EXPECT_FALSE(fs::exists(out / "gallery.png"));
}

// The lines between ```python and ``` of docs/python.md, then checks of what they made.
std::string python_script() {
  const auto page = read_text_file(fs::path(OUTCROP_SOURCE) / "docs" / "python.md");
  EXPECT_THAT(page, IsOk());
  std::istringstream lines(page.value_or(""));
  std::string script;
  bool code = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      code = line == "```python";
    } else if (code) {
      script += line + "\n";
    }
  }
  return script + R"(
assert velocity.shape == (4, 1, 70, 70) and pressure.shape == (4, 5, 1000, 70)
assert velocity.dtype == torch.float32 and velocity.min() >= 1500 and velocity.max() <= 4500
assert velocity_int8.shape == velocity.shape and pressure_int8.shape == pressure.shape
assert 0 < (velocity_int8 - velocity).abs().mean() < 100
with torch.no_grad():
    one, _ = model(1, 7)
    default, _ = model(4)
    zero, _ = model(4, 0)
assert (one[0] - velocity[0]).abs().max() < 1
assert torch.equal(default, zero) and not torch.equal(default, velocity)
assert encoded.shape == latents.shape and between[0].shape == (1, 1, 70, 70)
)";
}

TEST_F(Evaluate, the_page_for_python_runs_as_it_stands) {
  const std::string python = "/usr/bin/python3";
  if (run_shell(python + " -c 'import torch, numpy'").code != 0) {
    GTEST_SKIP() << "no " << python << " with torch (Debian's python3-torch)";
  }
  // Under the names that the page has for a trained stage.
  const fs::path folder = folder_->path() / "python";
  fs::create_directories(folder / "run" / "stage2");
  const std::string prefix = "small_stage1_";
  for (const auto& entry : fs::directory_iterator(stage())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    fs::create_symlink(entry.path(), folder / "run" / "stage2" /
                                         ("curvefault_stage2_" + name.substr(prefix.size())));
  }
  ASSERT_THAT(write_file_durably(folder / "page.py", python_script()), IsOk());
  const auto ran = run_shell("cd '" + folder.string() + "' && " + python + " page.py");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("(4, 1, 70, 70) (4, 5, 1000, 70)"));
  // What the page saves is a data set.
  const auto saved = data::Dataset::open(folder);
  ASSERT_THAT(saved, IsOk());
  EXPECT_EQ(saved->size(), 4U);
}

TEST_F(Evaluate, keeps_its_scores_where_no_picture_can_be_drawn) {
  const fs::path out = folder_->path() / "undrawn";
  const fs::path empty = folder_->path() / "no-programs";
  fs::create_directory(empty);
  fs::create_directory(out);
  std::ofstream(out / "gallery.png") << "of other scores";
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", empty.c_str(), 1);
  testing::internal::CaptureStderr();
  const int code =
      run({stage().string(), data().string(), "--generated", "8", "--out", out.string()});
  const std::string said = testing::internal::GetCapturedStderr();
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(code, 0);
  EXPECT_THAT(said, HasSubstr("note: no gallery: "));
  EXPECT_THAT(said, HasSubstr("gnuplot-nox"));
  EXPECT_TRUE(fs::exists(out / "evaluation.json"));
  EXPECT_FALSE(fs::exists(out / "gallery.png"));
}

TEST_F(Evaluate, takes_the_several_folders_that_were_trained_on) {
  const fs::path more = folder_->path() / "more";
  data::SynthOptions synth;
  synth.count = 2;
  synth.seed = 9;
  synth.out = more;
  ASSERT_THAT(data::synthesize(synth, {}), IsOk());
  const auto scored = [&](const std::vector<std::string>& folders) {
    std::vector<std::string> words{stage().string(), data().string(), "--variant=float",
                                   "--generated", "8", "--json"};
    for (const std::string& folder : folders) words.insert(words.end(), {"--train", folder});
    testing::internal::CaptureStdout();
    EXPECT_EQ(run(words), 0);
    return nlohmann::json::parse(testing::internal::GetCapturedStdout())["baselines"][0];
  };
  const auto one = scored({data().string()});
  const auto both = scored({data().string(), more.string()});
  EXPECT_EQ(both["name"], "mean of the training data");
  EXPECT_LT(one["velocity"]["rmse"], both["velocity"]["rmse"]);  // it is the mean of these very data
  EXPECT_EQ(run({stage().string(), data().string(), "--train", more.string(), "--train",
                 more.string()}),
            2);
}

TEST_F(Evaluate, says_how_much_of_what_it_shows_is_no_number) {
  const fs::path broken = folder_->path() / "broken";
  fs::copy(stage(), broken);
  const auto small = quantize::make_small_generator();
  small.velocity_decoder.attr("map").toModule().attr("bias").toTensor().detach().fill_(
      std::nanf(""));
  const auto prior = generator::fit_gaussian(quantize::small_latents(24));
  generator::compose_generator({small.velocity_decoder, {}}, {small.seismic_decoder, {}}, prior, {})
      ._save_for_mobile((broken / "small_stage1_float.ptl").string());
  auto files = find_stage_files(broken, std::nullopt, {"float"});
  auto dataset = data::Dataset::open(data());
  ASSERT_THAT(files, IsOk());
  auto result = evaluate(*files, {.data = *dataset, .generated = 8, .progress = {}});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->remarks, testing::Contains(HasSubstr(
                                   "float: of 8 generated samples 8 hold values that are NaN")));
  EXPECT_EQ(result->generated.samples, 8U);
  EXPECT_EQ(result->generated.diversity, 0.0);
  EXPECT_TRUE(result->generated_rows.empty());
}

TEST_F(Evaluate, a_single_file_asks_for_its_encoder) {
  const std::string file = (stage() / "small_stage1_float.ptl").string();
  const std::string encoder = (stage() / "small_stage1_encoder.pt").string();
  EXPECT_EQ(run({file, data().string()}), 2);
  EXPECT_EQ(run({file, data().string(), "--encoder", encoder, "--generated", "8"}), 0);
}

TEST_F(Evaluate, says_what_is_missing_or_damaged) {
  EXPECT_THAT(find_stage_files(stage(), std::nullopt, {"int4"}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("int8-quint8")));
  EXPECT_THAT(find_stage_files(data(), std::nullopt, {}),
              ErrorIs(ErrorCode::not_found, HasSubstr("_encoder.pt")));
  EXPECT_THAT(find_stage_files(data() / "none", std::nullopt, {}),
              ErrorIs(ErrorCode::not_found, HasSubstr("stage folder")));
  const fs::path damaged = folder_->path() / "encoder.pt";
  fs::copy_file(stage() / "small_stage1_encoder.pt", damaged);
  fs::resize_file(damaged, fs::file_size(damaged) / 2);
  auto files = find_stage_files(stage(), damaged, {"float"});
  auto dataset = data::Dataset::open(data());
  ASSERT_THAT(files, IsOk());
  EXPECT_THAT(evaluate(*files, {.data = *dataset, .progress = {}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("encoder.pt")));
}

}  // namespace
}  // namespace outcrop::evaluate
