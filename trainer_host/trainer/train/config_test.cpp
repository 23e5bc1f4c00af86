#include "trainer_host/trainer/train/config.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

namespace outcrop::train {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* whole = R"([model]
name = "curvefault"
latent = 64

[data]
train = "maps"
held_out = 8

[train]
out = "/tmp/elsewhere"
batch = 4
learning_rate = 1e-3
flip = false

[release]
keys = "keys"
expiry_days = 30
objective = "memory_mb"

[budgets.raspberrypi4]
p90_ms = 200
memory_mb = 120.5

[quantize]
variants = ["float", "int8-mixed"]
mixed = { budget_ms = 12.5, aim = "size" }
)";

class Config : public testing::Test {
 protected:
  Result<TrainConfig> read(const std::string& text) {
    std::ofstream(file()) << text;
    return read_config(file(), kinds_);
  }
  [[nodiscard]] std::filesystem::path file() const { return folder_.path() / "demo.toml"; }

  // `whole` with one piece of text replaced.
  static std::string with(const std::string& old, const std::string& replacement) {
    std::string text = whole;
    return text.replace(text.find(old), old.size(), replacement);
  }

 private:
  kinds::Register kinds_ = kinds::built_in();
  TemporaryFolder folder_;
};

const generator::GeneratorRecipe& recipe_of(const TrainConfig& config) {
  return dynamic_cast<const generator::GeneratorRecipe&>(*config.recipe);
}

TEST_F(Config, reads_every_section) {
  const auto config = read(whole);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->name, "curvefault");
  EXPECT_EQ(config->kind, "generator");
  EXPECT_THAT(config->variants, testing::ElementsAre("float", "int8-mixed"));
  EXPECT_EQ(config->mixed.budget_ms, 12.5);
  EXPECT_EQ(config->mixed.aim, kinds::Aim::size);
  EXPECT_EQ(recipe_of(*config).shape.latent, 64);
  EXPECT_THAT(recipe_of(*config).data.train, testing::ElementsAre(file().parent_path() / "maps"));
  EXPECT_EQ(recipe_of(*config).data.held_out, 8);
  EXPECT_EQ(config->train.out, "/tmp/elsewhere");
  EXPECT_EQ(config->train.batch, 4);
  EXPECT_EQ(config->train.stage_epochs, 20);
  EXPECT_DOUBLE_EQ(config->train.learning_rate, 1e-3);
  EXPECT_FALSE(recipe_of(*config).flip);
  EXPECT_EQ(config->release->expiry, std::chrono::days(30));
  EXPECT_EQ(config->release->objective, "memory_mb");
  EXPECT_DOUBLE_EQ(config->budgets.at("raspberrypi4").memory_mb, 120.5);
}

TEST_F(Config, without_release_section_no_release_is_asked_for) {
  const auto config = read("[model]\nname = \"a\"\n[data]\ntrain = \"d\"\n[train]\nout = \"o\"\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_FALSE(config->release.has_value());
  EXPECT_TRUE(config->budgets.empty());
}

TEST_F(Config, names_file_line_and_key_of_an_unknown_key) {
  EXPECT_THAT(
      read(with("flip = false", "flips = false")),
      ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("demo.toml:13: train.flips"),
                                                 HasSubstr("known are"), HasSubstr("flip"))));
  EXPECT_THAT(read(with("[release]", "[releases]")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("demo.toml:15: releases")));
}

TEST_F(Config, says_which_type_would_be_right) {
  EXPECT_THAT(read(with("batch = 4", "batch = \"4\"")),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("demo.toml:11: train.batch: this is a string"),
                            HasSubstr("an integer from 2 to 1024"))));
  EXPECT_THAT(read(with("flip = false", "flip = 0")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("true or false")));
  EXPECT_THAT(read(with("name = \"curvefault\"", "name = 7")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("demo.toml:2: model.name")));
  EXPECT_THAT(read(with("[budgets.raspberrypi4]", "[budgets]")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("[budgets.NAME]")));
}

TEST_F(Config, freezes_ranges_no_earlier_than_the_warm_up_ends) {
  const auto frozen_from = [&](const std::string& keys) {
    const auto config = read(with("batch = 4", "batch = 4\nqat_from = 1\n" + keys));
    EXPECT_THAT(config, IsOk());
    return config ? config->train.int8.frozen_from : -1.0;
  };
  EXPECT_EQ(frozen_from(""), 0.5);
  EXPECT_EQ(frozen_from("qat_warm_up = 0.4"), 0.5);
  EXPECT_EQ(frozen_from("qat_warm_up = 0.8"), 0.8);
}

TEST_F(Config, says_which_range_would_be_right) {
  EXPECT_THAT(
      read(with("learning_rate = 1e-3", "learning_rate = -1.0")),
      ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("demo.toml:12: train.learning_rate: -1"),
                                                 HasSubstr("from 1e-07 to 1"))));
  EXPECT_THAT(read(with("learning_rate = 1e-3", "learning_rate = nan")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.learning_rate")));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\naverage = 0.3")),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("demo.toml:12: train.average"),
                                                         HasSubstr("0.5 to 0.99999"))));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\naverage = 1")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.average: 1 is out of range")));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\nqat_from = 2\nqat_rate = 2")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.qat_rate: 2 is out of range")));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\nqat_rate = 0.2")),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("train.qat_rate"), HasSubstr("by qat_from"))));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\nqat_from = 1\nqat_warm_up = 0.4\nqat_frozen_from = 0.3")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.qat_frozen_from")));
  EXPECT_THAT(read(with("\"int8-mixed\"", "\"int8-qint8\"")),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("quantize.mixed"), HasSubstr("no int8-mixed"))));
  EXPECT_THAT(read(with("latent = 64", "latent = 66")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("multiple of 4")));
  EXPECT_THAT(read(with("memory_mb\"", "fastest\"")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("demo.toml:18: release.objective")));
  EXPECT_THAT(read(with("\"curvefault\"", "\"Curve Fault\"")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("Curve Fault")));
}

TEST_F(Config, refuses_more_budgets_than_a_release_can_hold) {
  std::string text = whole;
  for (int i = 0; i < 64; ++i) {
    text += "[budgets.class-" + std::to_string(i) + "]\np90_ms = 1\nmemory_mb = 1\n";
  }
  EXPECT_THAT(read(text), ErrorIs(ErrorCode::invalid_argument, HasSubstr("one device class too")));
}

TEST_F(Config, takes_every_objective_that_a_manifest_may_have) {
  const auto schema =
      read_text_file(std::filesystem::path(OUTCROP_SOURCE) / "protocol/messages/SCHEMA.md");
  ASSERT_THAT(schema, IsOk());
  for (const std::string objective : {"p50_ms", "p90_ms", "memory_mb", "error"}) {
    const auto config =
        read(with("objective = \"memory_mb\"", "objective = \"" + objective + "\""));
    ASSERT_THAT(config, IsOk());
    EXPECT_EQ(config->release->objective, objective);
    EXPECT_THAT(*schema, HasSubstr("\"" + objective + "\""));
  }
}

TEST_F(Config, names_the_kinds_that_there_are) {
  EXPECT_THAT(read(with("latent = 64", "kind = \"genrator\"")),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("demo.toml:3: model.kind"), HasSubstr("'genrator'"),
                            HasSubstr("there are: generator"))));
}

TEST_F(Config, names_what_is_missing) {
  EXPECT_THAT(
      read(with("train = \"maps\"\n", "")),
      ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("data.train"), HasSubstr("missing"))));
}

TEST_F(Config, takes_several_folders_of_data) {
  const auto config =
      read(with("train = \"maps\"\nheld_out = 8", "train = [\"a\", \"/b\"]\nvalidation = \"c\""));
  ASSERT_THAT(config, IsOk());
  EXPECT_THAT(recipe_of(*config).data.train, testing::ElementsAre(file().parent_path() / "a", "/b"));
  EXPECT_THAT(recipe_of(*config).data.validation, testing::ElementsAre(file().parent_path() / "c"));
  EXPECT_THAT(read(with("train = \"maps\"", "train = []")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.train: it is an empty list")));
}

TEST_F(Config, refuses_two_ways_of_holding_out) {
  EXPECT_THAT(read(with("held_out = 8", "held_out = 8\nvalidation = \"other\"")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("not both")));
}

TEST_F(Config, names_the_line_that_is_no_toml) {
  EXPECT_THAT(read(with("latent = 64", "latent = = 64")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("demo.toml:3: this is not TOML")));
  EXPECT_THAT(read_config("/does/not/exist.toml", kinds::built_in()),
              ErrorIs(ErrorCode::not_found, HasSubstr("exist.toml")));
}

TEST_F(Config, reads_a_diffusion_and_says_what_it_cannot_be) {
  const auto of = [&](const std::string& model, const std::string& train = "") {
    std::string text = with("latent = 64", "latent = 64\n" + model);
    return read(train.empty() ? text : text.replace(text.find("batch = 4"), 9, "batch = 4\n" + train));
  };
  EXPECT_EQ(recipe_of(*of("")).shape.diffusion, std::nullopt);
  const auto usual = of("latent_model = \"diffusion\"");
  ASSERT_THAT(usual, IsOk());
  EXPECT_EQ(recipe_of(*usual).shape.diffusion, generator::DiffusionShape());
  const auto small = of("preset = \"ubdiff-small\"\ndiffusion_steps = 256\ndiffusion_multipliers = [1, 2]", "diffusion_from = 2");
  ASSERT_THAT(small, IsOk());
  EXPECT_EQ(recipe_of(*small).shape.diffusion->steps, 256);
  EXPECT_EQ(recipe_of(*small).shape.diffusion->levels(), 2);
  EXPECT_EQ(recipe_of(*small).diffusion_from, 2);
  // How many steps a board takes decides no weights.
  EXPECT_EQ(of("latent_model = \"diffusion\"\ndiffusion_steps = 8")->fingerprint(), usual->fingerprint());
  EXPECT_NE(of("latent_model = \"diffusion\"\ndiffusion_width = 8")->fingerprint(), usual->fingerprint());
  const auto published = of("preset = \"ubdiff\"");
  ASSERT_THAT(published, IsOk());
  EXPECT_EQ(recipe_of(*published).shape.diffusion->width, 128);
  EXPECT_EQ(recipe_of(*published).shape.latent, 64);
  EXPECT_EQ(recipe_of(*published).shape.diffusion->drawn(64), 64);
  EXPECT_EQ(recipe_of(*usual).shape.diffusion->drawn(64), 32);
  EXPECT_NE(of("latent_model = \"diffusion\"\ndiffusion_components = 16")->fingerprint(), usual->fingerprint());

  const auto refused = [](const std::string& words) { return ErrorIs(ErrorCode::invalid_argument, HasSubstr(words)); };
  EXPECT_THAT(of("latent_model = \"diffusion\"\ndiffusion_steps = 0"), refused("model.diffusion_steps: 0 is out of range"));
  EXPECT_THAT(of("latent_model = \"diffusion\"\ndiffusion_steps = 257"), refused("model.diffusion_steps: 257"));
  EXPECT_THAT(of("latent_model = \"diffusion\"\ndiffusion_width = 12"), refused("no multiple of 8"));
  EXPECT_THAT(of("latent_model = \"vae\""), refused("there are: gaussian, diffusion"));
  EXPECT_THAT(of("preset = \"ub\""), refused("there are: ubdiff-small, ubdiff"));
  EXPECT_THAT(of("diffusion_width = 64"), refused("is of latent_model = \"diffusion\""));
  EXPECT_THAT(of("", "diffusion_from = 2"), refused("train.diffusion_from"));
  EXPECT_THAT(of("latent_model = \"diffusion\"", "diffusion_from = 0"), refused("train.diffusion_from: 0"));
  EXPECT_THAT(of("diffusion_components = 8"), refused("is of latent_model = \"diffusion\""));
  EXPECT_THAT(of("latent_model = \"diffusion\"\ndiffusion_components = 0"), refused("model.diffusion_components: 0"));
  EXPECT_THAT(of("latent_model = \"diffusion\"\ndiffusion_length = 20"), refused("halve a length of a multiple of 8, not of 20"));
  EXPECT_THAT(of("latent_model = \"diffusion\"", "qat_from = 2"), refused("not trained for int8"));
  // Of any latent.
  EXPECT_THAT(read(with("latent = 64", "latent = 20\nlatent_model = \"diffusion\"")), IsOk());
}

TEST_F(Config, lets_maps_choose_from_levels) {
  const auto levels = [&](const std::string& count) { return read(with("latent = 64", "latent = 64\nlevels = " + count)); };
  const auto config = levels("16");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(recipe_of(*config).shape.levels, 16);
  EXPECT_THAT(config->fingerprint(), HasSubstr("\nmodel.levels = 16"));
  EXPECT_EQ(levels("0")->fingerprint(), read(whole)->fingerprint());
  EXPECT_THAT(levels("1"), ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("model.levels"), HasSubstr("2 to 64"))));
  EXPECT_THAT(levels("65"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.levels: 65 is out of range")));
}

TEST_F(Config, sharpens_maps) {
  const auto passes = [&](const std::string& count) { return read(with("latent = 64", "latent = 64\nsharpen = " + count)); };
  const auto config = passes("5");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(recipe_of(*config).shape.sharpen, 5);
  EXPECT_THAT(config->fingerprint(), HasSubstr("\nmodel.sharpen = 5"));
  EXPECT_EQ(passes("0")->fingerprint(), read(whole)->fingerprint());
  EXPECT_THAT(passes("17"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.sharpen: 17 is out of range")));
}

TEST_F(Config, makes_maps_online_where_gathers_come_from_them) {
  const auto online = [&](const std::string& gathers) {
    std::string text = with("latent = 64", "latent = 64\ngathers = \"" + gathers + "\"");
    return read(text.replace(text.find("held_out = 8"), 12, "held_out = 8\nonline = true"));
  };
  const auto config = online("kirchhoff");
  ASSERT_THAT(config, IsOk());
  EXPECT_TRUE(recipe_of(*config).online);
  EXPECT_THAT(config->fingerprint(), HasSubstr("\ndata.online = true"));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\ngather_share = 0.25")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("gathers = \"kirchhoff\" and \"wave+net\"")));
  EXPECT_THAT(online("decoder"), ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("data.online"), HasSubstr("kirchhoff"))));
}

TEST_F(Config, fingerprint_holds_what_decides_the_weights) {
  const auto base = read(whole)->fingerprint();
  EXPECT_NE(read(with("batch = 4", "batch = 8"))->fingerprint(), base);
  EXPECT_NE(read(with("flip = false", "flip = true"))->fingerprint(), base);
  EXPECT_EQ(read(with("batch = 4", "batch = 4\naverage = 0"))->fingerprint(), base);
  EXPECT_THAT(base, testing::Not(HasSubstr("average")));
  EXPECT_THAT(read(with("batch = 4", "batch = 4\naverage = 0.999"))->fingerprint(),
              HasSubstr("\ntrain.average = 0.999"));
  EXPECT_EQ(read(with("batch = 4", "batch = 4\nqat_from = 0"))->fingerprint(), base);
  EXPECT_THAT(read(with("batch = 4", "batch = 4\nqat_from = 3"))->fingerprint(), HasSubstr("\ntrain.qat_from = 3"));
  EXPECT_EQ(read(with("/tmp/elsewhere", "/tmp/here"))->fingerprint(), base);
  EXPECT_EQ(read(with("batch = 4", "batch = 4\nthreads = 1"))->fingerprint(), base);
  EXPECT_EQ(read(with("expiry_days = 30", "expiry_days = 31"))->fingerprint(), base);
}

}  // namespace
}  // namespace outcrop::train
