#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/synth.hpp"
#include "trainer_host/trainer/evaluate/stage_files.hpp"
#include "trainer_host/trainer/kinds/generator/comparison.hpp"
#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::generator {
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
    made_ = made_ && export_stage();
  }
  // To the scale of data: those of an untrained network are near zero.
  static void scale_gathers(const kinds::Task& task) {
    const torch::NoGradGuard no_gradient;
    for (const auto& [name, tensor] : kinds::state_of(task)) {
      if (name == "seismic_decoder.gathers.weight") tensor.detach().mul_(4.0);
    }
  }
  static bool export_stage() {
    GeneratorRecipe recipe;
    recipe.shape = {.latent = 32, .encoder_width = 4, .velocity_width = 4, .seismic_width = 8};
    recipe.data.train = {data()};
    const auto task = recipe.open(7);
    if (!task) return false;
    // Untrained, but its batch norms have seen data.
    std::vector<kinds::Draw> draws(5);
    for (std::size_t i = 0; i < draws.size(); ++i) draws[i].sample = i;
    for (int i = 0; i < 20; ++i) (void)(*task)->loss((*task)->phase(1), draws);
    (*task)->set_training(false);
    scale_gathers(**task);
    (*task)->fit();
    models::ModelDescription about{.name = "small", .kind = "generator", .shape = (*task)->shape()};
    about.stage = 1;
    const quantize::VariantChoice two{.variants = {"float", "int8-qint8"}, .weights = {}, .plan = {}};
    return quantize::export_variants((*task)->make_export(), stage(), "small_stage1", two).has_value() &&
           kinds::save_weights(weights(), **task, about).has_value();
  }
  static void TearDownTestSuite() { delete folder_; }
  void SetUp() override { ASSERT_TRUE(made_); }

  static fs::path data() { return folder_->path() / "data"; }
  static fs::path stage() { return folder_->path() / "stage1"; }
  static fs::path weights() { return stage() / "small_stage1.weights"; }

  // Variants of `folder` on `held_out`, in this process.
  static Result<Comparison> compare_on(const fs::path& folder, const fs::path& held_out,
                                       const std::vector<fs::path>& training,
                                       const std::vector<std::string>& wanted,
                                       ComparisonOptions options) {
    OUTCROP_TRY(files, evaluate::find_stage_files(folder, weights(), wanted));
    kinds::DataPlaces places{.train = training, .validation = {held_out}, .only_scored = true};
    OUTCROP_TRY(opened, kinds::open_trained(files.weights, kinds(), std::move(places)));
    std::vector<models::LiteModel> models;
    std::vector<kinds::EvaluatedVariant> variants;
    for (const auto& variant : files.variants) {
      OUTCROP_TRY(model, models::LiteModel::load(variant.file));
      models.push_back(std::move(model));
    }
    for (std::size_t i = 0; i < models.size(); ++i) {
      variants.push_back({files.variants[i].name, &models[i]});
    }
    options.generated = 3;
    return compare(dynamic_cast<GeneratorTask&>(*opened.task), variants, options);
  }
  static const kinds::Register& kinds() {
    static const kinds::Register all = kinds::built_in();
    return all;
  }

  // `outcrop-trainer evaluate` (or another verb), with what stands in front of it in the shell.
  static ShellOutcome run(const std::vector<std::string>& arguments, const std::string& before = "",
                          const std::string& verb = "evaluate") {
    std::string command = before + " '" + OUTCROP_BIN "/outcrop-trainer' " + verb;
    for (const std::string& argument : arguments) command += " '" + argument + "'";
    return run_shell(command);
  }

  static TemporaryFolder* folder_;
  static bool made_;
};
TemporaryFolder* Evaluate::folder_ = nullptr;
bool Evaluate::made_ = false;

TEST_F(Evaluate, scores_reconstructions_beside_baselines) {
  const auto result = compare_on(stage(), data(), {data()}, {}, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->samples, 5U);
  ASSERT_EQ(result->variants.size(), 2U);
  EXPECT_EQ(result->variants[0].name, "float");
  EXPECT_EQ(result->variants[1].name, "int8-qint8");
  ASSERT_EQ(result->baselines.size(), 3U);
  // The mean is the best constant map under RMSE, so it beats 3000 m/s on its own data.
  const PairScores& mean = *result->baselines[0].scores;
  const PairScores& silence = *result->baselines[2].scores;
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

TEST_F(Evaluate, holds_what_was_generated_against_the_wave_equation) {
  const auto result = compare_on(stage(), data(), {data()}, {}, {});
  ASSERT_THAT(result, IsOk());
  const PhysicsReport& physics = result->physics;
  ASSERT_EQ(physics.variants.size(), 2U);
  for (const PhysicsLine& line : physics.variants) {
    EXPECT_EQ(line.pairs, 3U) << line.name;
    ASSERT_TRUE(line.log_muted && line.muted && line.log_whole && line.whole) << line.name;
    EXPECT_GT(line.log_muted->median, 0.5) << line.name;  // it is not trained
    EXPECT_LE(line.log_muted->low, line.log_muted->median);
    EXPECT_LE(line.log_muted->median, line.log_muted->high);
  }
  ASSERT_EQ(physics.baselines.size(), 3U);
  EXPECT_EQ(physics.baselines[0].pairs, 2U);  // the first pair has none before it
  EXPECT_EQ(physics.baselines[2].name, "silence");
  EXPECT_DOUBLE_EQ(physics.baselines[2].log_muted->high, 1.0);
  EXPECT_DOUBLE_EQ(physics.baselines[2].whole->median, 1.0);
}

TEST_F(Evaluate, finds_no_misfit_where_gathers_are_the_wave_equations) {
  auto dataset = data::Dataset::open(data());
  ASSERT_THAT(dataset, IsOk());
  const data::Geometry geometry;
  PhysicsSum right("right", geometry);
  PhysicsSum permuted("permuted", geometry);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto solved = solved_gathers(dataset->velocity(i), geometry);
    ASSERT_THAT(solved, IsOk());
    right.add(dataset->velocity(i), *solved, dataset->gathers(i));  // which it recorded
    permuted.add(dataset->velocity(i), *solved, dataset->gathers(i + 1));
  }
  EXPECT_EQ(right.line().log_muted->high, 0.0);
  EXPECT_EQ(right.line().whole->high, 0.0);
  EXPECT_GT(permuted.line().log_muted->low, 0.5);
  EXPECT_THAT(solved_gathers(std::vector<float>(geometry.map_size(), 7000.0F), geometry),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("7000")));
}

TEST(Interval, holds_four_fifths_of_the_values) {
  EXPECT_FALSE(interval_of({}).has_value());
  std::vector<double> values;
  for (int i = 10; i >= 0; --i) values.push_back(i);
  const auto found = interval_of(values);
  EXPECT_EQ(found->median, 5.0);
  EXPECT_EQ(found->low, 1.0);
  EXPECT_EQ(found->high, 9.0);
  EXPECT_EQ(interval_of({3.0})->high, 3.0);
  EXPECT_TRUE(std::isinf(interval_of({1.0, std::nan("")})->high));
}

TEST_F(Evaluate, shows_generated_maps_in_rows_of_their_own_beside_the_solvers_gathers) {
  auto other = data::Dataset::open(data());
  ASSERT_THAT(other, IsOk());
  ComparisonOptions options{.other_label = "again"};
  options.other.append(std::make_shared<const data::Dataset>(std::move(*other)), 0, 1);
  const auto result = compare_on(stage(), data(), {data()}, {"float"}, options);
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
  const auto result = compare_on(stage(), one, {}, {"float"}, {});
  ASSERT_THAT(result, IsOk());
  ASSERT_EQ(result->baselines.size(), 3U);
  EXPECT_FALSE(result->baselines[0].scores.has_value()) << result->baselines[0].name;
  EXPECT_FALSE(result->baselines[1].scores.has_value()) << result->baselines[1].name;
  EXPECT_TRUE(result->baselines[2].scores.has_value());
  EXPECT_FALSE(result->generated.data_diversity.has_value());

  const auto ran = run({stage().string(), one.string(), "--variant=float", "--generated", "8"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("not available"));
}

TEST_F(Evaluate, writes_gallery_and_figures) {
  const fs::path out = folder_->path() / "out";
  ASSERT_EQ(run({stage().string(), data().string(), "--train", data().string(), "--other",
                 data().string(), "--generated", "8", "--out", out.string()})
                .code,
            0);
  EXPECT_GT(fs::file_size(out / "gallery.png"), 10'000U);
  auto text = read_text_file(out / "evaluation.json");
  ASSERT_THAT(text, IsOk());
  const auto json = nlohmann::json::parse(*text);
  EXPECT_EQ(json.at("model"), "small");
  EXPECT_EQ(json.at("stage"), 1);
  EXPECT_EQ(json.at("variants").size(), 2U);
  EXPECT_EQ(json.at("picture"), "gallery.png");
  EXPECT_EQ(json.at("baselines").at(2).at("seismic").at("reflections_relative_error"), 1.0);
  const auto& drawn = json.at("drawn");
  EXPECT_EQ(drawn.at("variants").at(1).at("name"), "int8-qint8");
  EXPECT_GT(drawn.at("variants").at(1).at("misfit_log_muted").at("median"), 0.0);
  EXPECT_EQ(drawn.at("baselines").at(2).at("misfit_whole").at("median"), 1.0);
}

TEST_F(Evaluate, keeps_its_scores_where_nothing_can_be_drawn) {
  const fs::path out = folder_->path() / "undrawn";
  fs::create_directory(out);
  ASSERT_THAT(write_file_durably(out / "gallery.png", std::string_view("of another model")),
              IsOk());
  const auto ran =
      run({stage().string(), data().string(), "--variant=float", "--generated", "8", "--out",
           out.string()},
          "PATH='" + folder_->path().string() + "'");
  EXPECT_EQ(ran.code, 0) << ran.output;
  auto text = read_text_file(out / "evaluation.json");
  ASSERT_THAT(text, IsOk());
  const auto json = nlohmann::json::parse(*text);
  EXPECT_TRUE(json.at("picture").is_null());
  EXPECT_THAT(json.at("no_picture").get<std::string>(), HasSubstr("gnuplot-nox"));
  EXPECT_THAT(ran.output, HasSubstr("note: no picture: "));
  EXPECT_EQ(json.at("variants").size(), 1U);
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
    const auto ran = run(words);
    EXPECT_EQ(ran.code, 0) << ran.output;
    return nlohmann::json::parse(ran.output.substr(ran.output.find('{')))["baselines"][0];
  };
  const auto one = scored({data().string()});
  const auto both = scored({data().string(), more.string()});
  EXPECT_EQ(both["name"], "mean of the training data");
  EXPECT_LT(one["velocity"]["rmse"], both["velocity"]["rmse"]);  // it is the mean of these very data
  EXPECT_EQ(run({stage().string(), data().string(), "--train", more.string(), "--train",
                 more.string()})
                .code,
            2);
}

TEST_F(Evaluate, says_how_much_of_what_it_shows_is_no_number) {
  const fs::path broken = folder_->path() / "broken";
  fs::copy(stage(), broken);
  const auto small = quantize::make_small_generator();
  small.velocity_decoder.attr("map").toModule().attr("bias").toTensor().detach().fill_(
      std::nanf(""));
  const auto prior = fit_gaussian(quantize::small_latents(24));
  compose_generator({small.velocity_decoder, {}}, {small.seismic_decoder, {}}, prior, {})
      ._save_for_mobile((broken / "small_stage1_float.ptl").string());
  const auto result = compare_on(broken, data(), {}, {"float"}, {});
  ASSERT_THAT(result, IsOk());
  EXPECT_THAT(result->remarks, testing::Contains(HasSubstr(
                                   "float: of 3 generated samples 3 hold values that are NaN")));
  EXPECT_EQ(result->generated.samples, 3U);
  EXPECT_EQ(result->generated.diversity, 0.0);
  EXPECT_TRUE(result->generated_rows.empty());
}

TEST_F(Evaluate, draws_maps_that_agree_with_what_is_known_or_vary_one) {
  const auto condition = [&](std::vector<std::string> arguments, const fs::path& out) {
    arguments.insert(arguments.begin(), {stage().string(), out.string()});
    return run(arguments, "", "condition");
  };
  const auto map = (data() / "vel4_1_0.npy").string();
  const fs::path out = folder_->path() / "completed";
  const auto completed = condition({"--known", map, "--sample", "2", "--columns", "10,50", "--count", "3"}, out);
  ASSERT_EQ(completed.code, 0) << completed.output;
  EXPECT_THAT(completed.output, HasSubstr("maps that agree"));
  const auto json = nlohmann::json::parse(as_text(*read_file(out / "conditioned.json", ByteCount::mib(1))));
  const auto& agreeing = json.at("variants").at(0).at("velocity");
  const auto& free = json.at("baselines").at(0).at("velocity");
  EXPECT_LT(agreeing.at("mae_where_known").get<double>(), free.at("mae_where_known").get<double>());
  EXPECT_GT(agreeing.at("deviation_elsewhere").get<double>(), 0.0);
  const auto tensors = runtime::read_tensor_file(out / "conditioned.safetensors");
  ASSERT_THAT(tensors, IsOk());
  ASSERT_EQ(tensors->size(), 2U);
  EXPECT_EQ(tensors->at(0).shape, (std::vector<std::int64_t>{3, 1, 70, 70}));
  EXPECT_EQ(tensors->at(1).shape, (std::vector<std::int64_t>{3, 5, 1000, 70}));

  const auto varied = condition({"--around", map, "--strength", "0.2", "--count", "2", "--json"}, folder_->path() / "varied");
  ASSERT_EQ(varied.code, 0) << varied.output;
  const auto figures = nlohmann::json::parse(varied.output.substr(varied.output.find('{')));
  EXPECT_LT(figures.at("variants").at(0).at("velocity").at("deviation").get<double>(),
            figures.at("baselines").at(0).at("velocity").at("deviation").get<double>());

  const auto neither = condition({}, out);
  EXPECT_EQ(neither.code, 2) << neither.output;
  const auto far = condition({"--known", map, "--sample", "9"}, out);
  EXPECT_EQ(far.code, 2) << far.output;
  EXPECT_THAT(far.output, HasSubstr("samples 0 to 4"));
}

TEST_F(Evaluate, a_single_file_asks_for_its_weights) {
  const std::string file = (stage() / "small_stage1_float.ptl").string();
  const auto ran = run({file, data().string()});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.output, HasSubstr("--weights"));
  EXPECT_EQ(run({file, data().string(), "--weights", weights().string(), "--generated", "8"}).code, 0);
}

// What is given as a model is anybody's: it runs where it can do no harm, here takes 4 GB of memory.
TEST_F(Evaluate, runs_models_where_they_are_limited) {
  const fs::path odd = folder_->path() / "odd.ptl";
  torch::jit::Module module("__torch__.Hungry");
  module.define(R"(
def decode(self, latent: Tensor) -> Tuple[Tensor, Tensor]:
    much = torch.ones([1000000000], dtype=6, layout=None, device=None, pin_memory=False)
    return much, much
)");
  module._save_for_mobile(odd.string());
  const auto ran =
      run({odd.string(), data().string(), "--weights", weights().string(), "--generated", "8"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.output, HasSubstr("odd.ptl"));
}

TEST_F(Evaluate, says_how_many_samples_were_trained_on) {
  const auto ran = run({stage().string(), data().string(), "--train", data().string(),
                        "--variant=float", "--generated", "8"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("5 of 5 samples are among"));
}

TEST_F(Evaluate, says_what_is_missing_or_damaged) {
  using evaluate::find_stage_files;
  EXPECT_THAT(find_stage_files(stage(), "", {"int4"}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("int8-qint8")));
  EXPECT_THAT(find_stage_files(data(), "", {}),
              ErrorIs(ErrorCode::not_found, HasSubstr("_stage<N>.weights")));
  EXPECT_THAT(find_stage_files(data() / "none", "", {}),
              ErrorIs(ErrorCode::not_found, HasSubstr("stage folder")));
  const fs::path damaged = folder_->path() / "cut.weights";
  fs::copy_file(weights(), damaged);
  fs::resize_file(damaged, fs::file_size(damaged) / 2);
  const auto ran = run({stage().string(), data().string(), "--weights", damaged.string()});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.output, HasSubstr("cut.weights"));
}

}  // namespace
}  // namespace outcrop::generator
