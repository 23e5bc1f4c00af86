#include "trainer_host/trainer/train/trainer.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "protocol/trust/digest.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/gzip_file.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/register.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/train/config.hpp"

extern char** environ;

namespace outcrop::train {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using earth::make_toy_data;
using testing::HasSubstr;
using testing::Not;

class Trainer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    data_ = new TemporaryFolder;
    ASSERT_THAT(make_toy_data(data_->path(), 6, 1, earth::small_geometry()), IsOk());
  }
  static void TearDownTestSuite() {
    delete data_;
    data_ = nullptr;
  }

  // A run that takes well under a second.
  [[nodiscard]] TrainConfig tiny(const std::string& out) const {
    TrainConfig config;
    config.name = "tiny";
    config.kind = "generator";
    auto recipe = std::make_shared<generator::GeneratorRecipe>();
    recipe->shape = {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};
    recipe->data = {.train = {data_->path()}, .held_out = 2};
    config.recipe = std::move(recipe);
    config.train.out = folder_.path() / out;
    config.train.stage_epochs = 3;
    config.train.batch = 2;
    config.train.threads = 1;
    return config;
  }

  // The same as a file, for a process of its own.
  [[nodiscard]] fs::path write_config(const TrainConfig& config) const {
    const fs::path path = config.train.out.string() + ".toml";
    const auto& recipe = dynamic_cast<const generator::GeneratorRecipe&>(*config.recipe);
    const auto& shape = recipe.shape;
    std::ofstream(path) << "[model]\nname = \"" << config.name
                        << "\"\nlatent = " << shape.latent
                        << "\nencoder_width = " << shape.encoder_width
                        << "\nvelocity_width = " << shape.velocity_width
                        << "\nseismic_width = " << shape.seismic_width
                        << (shape.diffusion ? "\nlatent_model = \"diffusion\"\ndiffusion_width = 8\n"
                                              "diffusion_multipliers = [1, 2]"
                                            : "")
                        << "\ngathers = \"" << generator::name_of(shape.gathers) << "\""
                        << "\n[data]\nonline = " << (recipe.online ? "true" : "false") << "\ntrain = '"
                        << recipe.data.train.front().string() << "'\nheld_out = " << recipe.data.held_out
                        << "\n[train]\nout = '" << config.train.out.string()
                        << "'\nstage_epochs = " << config.train.stage_epochs
                        << "\nbatch = " << config.train.batch << "\nthreads = 1\n"
                        << "average = " << config.train.average << "\n" << diffusion_keys(recipe);
    return path;
  }

  // Behind those of [train].
  static std::string diffusion_keys(const generator::GeneratorRecipe& recipe) {
    if (!recipe.shape.diffusion) return {};
    return "diffusion_from = " + std::to_string(recipe.diffusion_from) + "\n";
  }
  // A run whose later stages train a diffusion, and average their weights.
  TrainConfig with_diffusion(const std::string& out) {
    TrainConfig config = tiny(out);
    auto& recipe = recipe_of(config);
    recipe.shape.diffusion = generator::DiffusionShape{.width = 8, .multipliers = {1, 2, 0, 0}};
    recipe.diffusion_from = 2;
    config.train.average = 0.9;
    config.train.stage_epochs = 2;
    return config;
  }
  // Killed a dozen times on the way, if it takes as long, it ends as a run that never was.
  void expect_the_same_bits_after_kills(const TrainConfig& whole, const TrainConfig& killed, const std::string& stages);

  // The recipe of this configuration, which no other shares from now on.
  static generator::GeneratorRecipe& recipe_of(TrainConfig& config) {
    auto own = std::make_shared<generator::GeneratorRecipe>(
        dynamic_cast<const generator::GeneratorRecipe&>(*config.recipe));
    config.recipe = own;
    return *own;
  }

  static Result<TrainSummary> run(const TrainConfig& config, std::int64_t stages,
                                  const StageEnd& stage_end = {}) {
    TrainOptions options;
    options.stages = stages;
    return train(config, options, stage_end);
  }

  static std::vector<std::string> csv_rows(const fs::path& out) {
    std::ifstream stream(out / "training.csv");
    std::vector<std::string> rows;
    for (std::string line; std::getline(stream, line);) rows.push_back(line);
    return rows;
  }

  static const fs::path& data() { return data_->path(); }
  [[nodiscard]] const fs::path& folder() const { return folder_.path(); }

 private:
  inline static TemporaryFolder* data_ = nullptr;
  TemporaryFolder folder_;
};

// Weights, BatchNorm statistics and optimizer state, bit for bit.
void expect_same_state(const fs::path& first, const fs::path& second) {
  const auto left = models::read_model_file(first);
  const auto right = models::read_model_file(second);
  ASSERT_THAT(left, IsOk());
  ASSERT_THAT(right, IsOk());
  ASSERT_EQ(left->tensors.size(), right->tensors.size());
  for (std::size_t i = 0; i < left->tensors.size(); ++i) {
    EXPECT_EQ(left->tensors[i].first, right->tensors[i].first);
    EXPECT_TRUE(torch::equal(left->tensors[i].second, right->tensors[i].second))
        << left->tensors[i].first;
  }
}

pid_t start_child(const fs::path& config, const std::string& stages, const fs::path& log,
                  bool hang = false) {
  const std::string program = std::string(OUTCROP_BIN) + "/outcrop-train-child";
  const std::string file = config.string();
  const std::string stage_log = log.string();
  std::vector<char*> argv{const_cast<char*>(program.c_str()), const_cast<char*>(file.c_str()),
                          const_cast<char*>(stages.c_str()), const_cast<char*>(stage_log.c_str()),
                          hang ? const_cast<char*>("hang") : nullptr, nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 2, (stage_log + ".stderr").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pid_t child = -1;
  const int failed =
      ::posix_spawn(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  EXPECT_EQ(failed, 0) << "starting " << program;
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST_F(Trainer, keeps_checkpoint_curve_and_weights_of_each_stage) {
  std::vector<std::int64_t> ended;
  const TrainConfig config = tiny("run");
  const auto summary = run(config, 2, [&](const StageContext& context) -> Status {
    ended.push_back(context.stage);
    EXPECT_EQ(context.epoch, context.stage * 3);
    EXPECT_EQ(context.task.data().training, 4U);
    EXPECT_EQ(context.task.data().held_out, 2U);
    EXPECT_FALSE(context.task.parts().front().network.is_training());
    EXPECT_EQ(context.task.fitted().size(), 2U);
    EXPECT_TRUE(fs::exists(context.weights));
    return {};
  });
  ASSERT_THAT(summary, IsOk());
  EXPECT_EQ(ended, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(summary->epoch, 6);
  const auto rows = csv_rows(config.train.out);
  ASSERT_EQ(rows.size(), 7U);
  EXPECT_TRUE(rows[0].starts_with("epoch,stage,"));
  EXPECT_TRUE(rows[6].starts_with("6,2,"));
  const auto file = models::read_model_file(config.train.out / "tiny_stage2.weights");
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(models::description_in(file->about)->stage, 2);
  EXPECT_EQ(file->tensors.back().first, "prior.factor");
}

TEST_F(Trainer, keeps_the_losses_of_held_out_samples_beside_those_of_training) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const auto table = platform::parse_csv(*read_text_file(config.train.out / "training.csv"));
  ASSERT_THAT(table, IsOk());
  for (const char* name : {"held_out_velocity_loss", "held_out_gather_loss"}) {
    const auto column = table->column(name);
    ASSERT_TRUE(column.has_value()) << name;
    for (const auto& row : table->rows) {
      const auto loss = read_number<double>(row[*column]);
      ASSERT_TRUE(loss.has_value()) << name << ": '" << row[*column] << "'";
      EXPECT_GT(*loss, 0.0);
    }
  }
  // Nothing held out, nothing said of it.
  TrainConfig whole = tiny("whole");
  recipe_of(whole).data.held_out = 0;
  ASSERT_THAT(run(whole, 1), IsOk());
  const auto blank = platform::parse_csv(*read_text_file(whole.train.out / "training.csv"));
  ASSERT_THAT(blank, IsOk());
  EXPECT_EQ(blank->rows[0][*blank->column("held_out_gather_loss")], "");
}

TEST_F(Trainer, goes_on_beside_a_table_that_an_earlier_version_wrote_with_fewer_columns) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  fs::copy_file(config.train.out / "checkpoint", folder() / "kept");
  const fs::path file = config.train.out / "training.csv";
  const auto table = platform::parse_csv(*read_text_file(file));
  ASSERT_THAT(table, IsOk());
  std::string earlier;
  const auto append = [&](const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::string& heading = table->headings[i];
      if (heading.starts_with("held_out_") && heading.ends_with("_loss")) continue;
      earlier += (i == 0 ? "" : ",") + cells[i];
    }
    earlier += "\n";
  };
  append(table->headings);
  for (const auto& row : table->rows) append(row);
  ASSERT_THAT(write_file_durably(file, earlier), IsOk());
  const TrainOptions options{.resume = TrainOptions::Resume::from_file,
                             .checkpoint = folder() / "kept",
                             .stages = 2,
                             .init = {}};
  EXPECT_THAT(train(config, options, {}), IsOk());
  EXPECT_THAT(csv_rows(config.train.out).front(), HasSubstr("held_out_gather_loss"));
  // Other epochs are another training's all the same.
  ASSERT_THAT(write_file_durably(file, earlier.insert(earlier.find("\n1,1,0.") + 7, "9")), IsOk());
  EXPECT_THAT(train(config, options, {}), ErrorIs(ErrorCode::already_exists, testing::_));
}

TEST_F(Trainer, does_nothing_where_the_stages_are_done) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const auto before = *read_file(config.train.out / "checkpoint", ByteCount::mib(64));
  int ends = 0;
  ASSERT_THAT(run(config, 1,
                  [&](const StageContext&) -> Status {
                    ++ends;
                    return {};
                  }),
              IsOk());
  EXPECT_EQ(ends, 0);
  EXPECT_EQ(*read_file(config.train.out / "checkpoint", ByteCount::mib(64)), before);
}

void Trainer::expect_the_same_bits_after_kills(const TrainConfig& whole, const TrainConfig& killed,
                                               const std::string& stages) {
  const auto started = std::chrono::steady_clock::now();
  ASSERT_EQ(wait_for(start_child(write_config(whole), stages, folder() / "whole.log")), 0);
  const auto duration = std::chrono::steady_clock::now() - started;

  const fs::path config = write_config(killed);
  const fs::path log = folder() / "killed.log";
  std::mt19937 random(20261121);
  int kills = 0;
  for (; kills < 12; ++kills) {
    const pid_t child = start_child(config, stages, log);
    // Not near its end: what is started first takes longest.
    std::this_thread::sleep_for(duration * std::uniform_real_distribution<>(0.2, 0.7)(random));
    ::kill(child, SIGKILL);
    if (WIFEXITED(wait_for(child))) break;
  }
  EXPECT_GT(kills, 0) << "the run was never hit";
  ASSERT_EQ(wait_for(start_child(config, stages, log)), 0);
  expect_same_state(whole.train.out / "checkpoint", killed.train.out / "checkpoint");

  // The curve: every epoch once. Wall-clock seconds, the last column, may differ.
  const auto without_seconds = [](std::vector<std::string> rows) {
    for (std::string& row : rows) row.resize(row.rfind(','));
    return rows;
  };
  EXPECT_EQ(without_seconds(csv_rows(killed.train.out)),
            without_seconds(csv_rows(whole.train.out)));
  for (const auto& entry : fs::directory_iterator(killed.train.out)) {
    EXPECT_EQ(entry.path().string().find(".tmp-"), std::string::npos) << entry.path();
  }
}

TEST_F(Trainer, killed_at_any_moment_ends_with_the_bits_of_a_run_never_killed) {
  expect_the_same_bits_after_kills(tiny("whole"), tiny("killed"), "2");
}

// How many steps it was trained, its noise, its average and the space that it works in are in the checkpoint.
TEST_F(Trainer, killed_in_a_diffusion_it_ends_with_the_bits_of_a_run_never_killed) {
  const TrainConfig whole = with_diffusion("whole");
  expect_the_same_bits_after_kills(whole, with_diffusion("killed"), "3");
  const auto file = models::read_model_file(whole.train.out / "checkpoint");
  ASSERT_THAT(file, IsOk());
  const std::map<std::string, torch::Tensor> tensors(file->tensors.begin(), file->tensors.end());
  EXPECT_GT(tensors.at("denoiser.trained_steps").item<std::int64_t>(), 4);
  EXPECT_FALSE(torch::equal(tensors.at("denoiser.enter.weight"), tensors.at("average.denoiser.enter.weight")));
  // The encoder stays as the average that its last stage left.
  EXPECT_TRUE(torch::equal(tensors.at("encoder.down1.weight"), tensors.at("average.encoder.down1.weight")));
  const auto stage1 = models::read_model_file(whole.train.out / "tiny_stage1.weights");
  const auto stage3 = models::read_model_file(whole.train.out / "tiny_stage3.weights");
  ASSERT_THAT(stage1, IsOk());
  ASSERT_THAT(stage3, IsOk());
  const std::map<std::string, torch::Tensor> later(stage3->tensors.begin(), stage3->tensors.end());
  for (const auto& [name, tensor] : stage1->tensors) {
    // The space of the diffusion is that of mirrored maps, too.
    if (name.starts_with("denoiser.") || name.starts_with("prior.")) continue;
    EXPECT_TRUE(torch::equal(tensor, later.at(name))) << name;
  }
}

// Maps that it makes while it trains are those of the run that never was killed.
TEST_F(Trainer, killed_while_it_makes_its_maps_it_ends_with_the_bits_of_a_run_never_killed) {
  ASSERT_THAT(make_toy_data(folder() / "made", 6, 1, earth::small_geometry()), IsOk());
  ASSERT_THAT(earth::say_that_synth_made_it(folder() / "made", 6, 1, earth::small_geometry()), IsOk());
  const auto online = [&](const std::string& out) {
    TrainConfig config = with_diffusion(out);
    auto& recipe = recipe_of(config);
    recipe.shape.gathers = generator::GatherMaker::wave;
    recipe.data.train = {folder() / "made"};
    recipe.online = true;
    return config;
  };
  expect_the_same_bits_after_kills(online("whole"), online("killed"), "2");
}

TEST_F(Trainer, a_stage_end_that_was_cut_off_is_run_again_before_training_goes_on) {
  const TrainConfig config = tiny("run");
  std::vector<std::int64_t> ended;
  const auto failing = run(config, 2, [&](const StageContext& context) -> Status {
    ended.push_back(context.stage);
    return fail(ErrorCode::io, "the release could not be written");
  });
  EXPECT_THAT(failing, ErrorIs(ErrorCode::io, AllOf(HasSubstr("ending stage 1"),
                                                    HasSubstr("could not be written"))));
  const auto weights = *read_file(config.train.out / "tiny_stage1.weights", ByteCount::mib(64));
  ASSERT_THAT(run(config, 2,
                  [&](const StageContext& context) -> Status {
                    ended.push_back(context.stage);
                    return {};
                  }),
              IsOk());
  EXPECT_EQ(ended, (std::vector<std::int64_t>{1, 1, 2}));
  EXPECT_EQ(*read_file(config.train.out / "tiny_stage1.weights", ByteCount::mib(64)), weights);
}

TEST_F(Trainer, resume_none_starts_anew_and_a_path_goes_on_elsewhere) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  fs::copy_file(config.train.out / "checkpoint", folder() / "kept");
  ASSERT_THAT(run(config, 2), IsOk());
  TrainConfig other = tiny("other");
  TrainOptions options;
  options.stages = 2;
  options.resume = TrainOptions::Resume::from_file;
  options.checkpoint = folder() / "kept";
  ASSERT_THAT(train(other, options, {}), IsOk());
  EXPECT_EQ(csv_rows(other.train.out).size(), 7U);
  expect_same_state(config.train.out / "checkpoint", other.train.out / "checkpoint");
  options.resume = TrainOptions::Resume::none;
  options.stages = 1;
  const auto anew = train(other, options, {});
  ASSERT_THAT(anew, IsOk());
  EXPECT_EQ(anew->epoch, 3);
  expect_same_state(folder() / "kept", other.train.out / "checkpoint");
}

TEST_F(Trainer, refuses_a_checkpoint_of_another_configuration_or_of_other_data) {
  TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  TrainConfig other = config;
  other.train.learning_rate = 5e-4;
  EXPECT_THAT(run(other, 2),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("another configuration"),
                            HasSubstr("train.learning_rate: 0.002 there, 0.0005 here"), HasSubstr("--allow-change"),
                            HasSubstr("--init WEIGHTS --out DIR"))));
  const TemporaryFolder other_data;
  ASSERT_THAT(make_toy_data(other_data.path(), 6, 2, earth::small_geometry()), IsOk());
  other = config;
  recipe_of(other).data.train = {other_data.path()};
  EXPECT_THAT(run(other, 2),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("other data"), HasSubstr("data.train: digest "))));
  other = config;
  recipe_of(other).data.held_out = 0;
  recipe_of(other).data.validation = {other_data.path()};
  EXPECT_THAT(run(other, 2),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: none there, ")));
}

TEST_F(Trainer, goes_on_with_what_was_changed_where_that_is_allowed_and_records_it) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const TemporaryFolder other_data;
  ASSERT_THAT(make_toy_data(other_data.path(), 6, 2, earth::small_geometry()), IsOk());
  TrainConfig other = config;
  other.train.learning_rate = 5e-4;
  other.train.stage_epochs = 2;
  other.train.batch = 3;
  recipe_of(other).data.train = {data(), other_data.path()};
  TrainOptions options{.checkpoint = {}, .stages = 2, .allow_change = true, .init = {}};
  std::vector<std::string> changed;
  const auto summary = train(other, options, [&](const StageContext& context) -> Status {
    for (const Change& change : context.lineage.changes) {
      EXPECT_EQ(change.epoch, 3);
      changed.push_back(change.key);
    }
    return {};
  });
  ASSERT_THAT(summary, IsOk());
  EXPECT_EQ(summary->epoch, 5);
  EXPECT_THAT(changed, testing::UnorderedElementsAre("data.train", "train.batch",
                                                     "train.learning_rate", "train.stage_epochs"));
  const auto rows = csv_rows(config.train.out);
  ASSERT_EQ(rows.size(), 6U);
  EXPECT_TRUE(rows[3].starts_with("3,1,"));
  EXPECT_TRUE(rows[5].starts_with("5,2,"));
  const auto lineage = lineage_from_json(*read_text_file(config.train.out / "lineage.json"));
  ASSERT_THAT(lineage, IsOk());
  ASSERT_EQ(lineage->changes.size(), 4U);
  EXPECT_EQ(lineage->changes[2].before, "0.002");

  // From here on it is the changed run: nothing is to be allowed again, and the old one is another.
  options.allow_change = false;
  options.stages = 3;
  EXPECT_THAT(train(other, options, {}), IsOk());
  EXPECT_THAT(run(config, 4),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.batch: 3 there, 2 here")));
}

TEST_F(Trainer, never_changes_the_network_of_a_run_nor_the_data_of_a_stage_that_is_to_be_ended) {
  const TrainConfig config = tiny("run");
  EXPECT_THAT(run(config, 1, [](const StageContext&) { return fail(ErrorCode::io, "no"); }),
              ErrorIs(ErrorCode::io, testing::_));
  TrainConfig other = config;
  recipe_of(other).shape.latent = 12;
  TrainOptions options{.checkpoint = {}, .stages = 2, .allow_change = true, .init = {}};
  EXPECT_THAT(train(other, options, {}),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("model.latent: 8 there, 12 here"), HasSubstr("--out DIR"))));
  const TemporaryFolder other_data;
  ASSERT_THAT(make_toy_data(other_data.path(), 6, 2, earth::small_geometry()), IsOk());
  other = config;
  recipe_of(other).data.train = {other_data.path()};
  EXPECT_THAT(train(other, options, {}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("(--stages 1)")));
  ASSERT_THAT(run(config, 1), IsOk());
  EXPECT_THAT(train(other, options, {}), IsOk());
}

TEST_F(Trainer, begins_a_new_run_with_given_weights) {
  TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path weights = config.train.out / "tiny_stage1.weights";
  TrainConfig fine = tiny("fine");
  fine.name = "fine";
  fine.train.learning_rate = 1e-7;
  fine.train.seed = 5;
  TrainOptions options{.checkpoint = {}, .stages = 1, .allow_change = false, .init = weights};
  std::optional<Origin> origin;
  ASSERT_THAT(train(fine, options,
                    [&](const StageContext& context) -> Status {
                      origin = context.lineage.origin;
                      return {};
                    }),
              IsOk());
  ASSERT_TRUE(origin.has_value());
  EXPECT_EQ(origin->model, "tiny");
  EXPECT_EQ(origin->epoch, 3);
  EXPECT_EQ(origin->sha256, trust::sha256_file(weights)->hex());
  EXPECT_TRUE(fs::exists(fine.train.out / "lineage.json"));
  const auto before = models::read_model_file(weights);
  const auto after = models::read_model_file(fine.train.out / "fine_stage1.weights");
  ASSERT_THAT(after, IsOk());
  const auto& learned = before->tensors;
  const auto& kept = after->tensors;
  for (std::size_t i = 0; i < learned.size(); ++i) {
    if (!learned[i].first.ends_with("weight")) continue;
    EXPECT_TRUE(torch::allclose(learned[i].second, kept[i].second, 1e-3, 1e-3)) << kept[i].first;
  }

  // Again, as after a kill; not with other weights; and not where the network is another.
  options.stages = 2;
  EXPECT_THAT(train(fine, options, {}), IsOk());
  options.init = fine.train.out / "fine_stage1.weights";
  EXPECT_THAT(train(fine, options, {}),
              ErrorIs(ErrorCode::already_exists, HasSubstr("did not begin with")));
  TrainConfig wide = tiny("wide");
  recipe_of(wide).shape.velocity_width = 4;
  EXPECT_THAT(train(wide, options, {}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr(R"("velocity_width":4)")));
  options.init = config.train.out / "checkpoint";
  EXPECT_THAT(train(tiny("from-checkpoint"), options, {}), IsOk());
}

TEST_F(Trainer, adds_a_diffusion_to_decoders_that_were_trained_without_one) {
  const TrainConfig decoders = tiny("run");
  ASSERT_THAT(run(decoders, 1), IsOk());
  TrainConfig config = with_diffusion("added");
  recipe_of(config).diffusion_from = 1;
  EXPECT_THAT(run(config, 1), ErrorIs(ErrorCode::invalid_argument, HasSubstr("(--init WEIGHTS), or take 2 at least")));
  const fs::path weights = decoders.train.out / "tiny_stage1.weights";
  TrainOptions options{.checkpoint = {}, .stages = 1, .init = weights};
  ASSERT_THAT(train(config, options, {}), IsOk());
  const auto before = models::read_model_file(weights);
  const auto after = models::read_model_file(config.train.out / (config.name + "_stage1.weights"));
  ASSERT_THAT(after, IsOk());
  std::map<std::string, torch::Tensor> tensors(after->tensors.begin(), after->tensors.end());
  for (const auto& [name, tensor] : before->tensors) {
    if (!name.starts_with("velocity_decoder.")) continue;
    EXPECT_TRUE(torch::equal(tensors.at(name), tensor)) << name;
  }
  EXPECT_GT(tensors.at("denoiser.trained_steps").item<std::int64_t>(), 0);
  // Not to others.
  TrainConfig wide = config;
  wide.train.out = folder() / "wide";
  recipe_of(wide).shape.velocity_width = 4;
  EXPECT_THAT(train(wide, options, {}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("another network")));
}

TEST_F(Trainer, never_trains_over_what_another_training_left) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path checkpoint = config.train.out / "checkpoint";
  fs::rename(checkpoint, folder() / "kept");
  const std::string curve = *read_text_file(config.train.out / "training.csv");
  TrainConfig other = config;
  other.train.learning_rate = 5e-4;
  EXPECT_THAT(run(other, 1),
              ErrorIs(ErrorCode::already_exists,
                      AllOf(HasSubstr("training.csv, tiny_stage1.weights"), HasSubstr("--out DIR"),
                            HasSubstr("--init WEIGHTS"), HasSubstr("--resume none"))));
  EXPECT_EQ(*read_text_file(config.train.out / "training.csv"), curve);

  // Finished stages are not even given up when asked.
  TrainOptions anew{.resume = TrainOptions::Resume::none, .checkpoint = {}, .stages = 1, .init = {}};
  fs::create_directory(config.train.out / "stage1");
  EXPECT_THAT(train(other, anew, {}),
              ErrorIs(ErrorCode::already_exists, HasSubstr("finished stages of another training "
                                                           "(stage1); nothing was changed")));
  fs::remove(config.train.out / "stage1");
  EXPECT_THAT(train(other, anew, {}), IsOk());

  // Nor by a checkpoint of another training.
  TrainOptions there{.resume = TrainOptions::Resume::from_file,
                     .checkpoint = folder() / "kept",
                     .stages = 2,
                     .init = {}};
  EXPECT_THAT(train(config, there, {}),
              ErrorIs(ErrorCode::already_exists, HasSubstr("another training than this")));
}

TEST_F(Trainer, does_not_train_a_stage_that_is_finished_already) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path checkpoint = config.train.out / "checkpoint";
  fs::copy_file(checkpoint, folder() / "kept");
  ASSERT_THAT(run(config, 2), IsOk());
  fs::create_directories(config.train.out / "releases/tiny-stage2");
  fs::copy_file(folder() / "kept", checkpoint, fs::copy_options::overwrite_existing);
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::already_exists,
                                      AllOf(HasSubstr("(releases/tiny-stage2)"),
                                            HasSubstr("nothing was changed"))));
  EXPECT_EQ(csv_rows(config.train.out).size(), 7U);
}

TEST_F(Trainer, looks_ahead_without_changing_anything) {
  TrainConfig config = tiny("run");
  const auto outlook = look_ahead(config, {.checkpoint = {}, .stages = {}, .init = {}});
  ASSERT_THAT(outlook, IsOk());
  EXPECT_EQ(outlook->training, 4U);
  EXPECT_EQ(outlook->held_out, 2U);
  EXPECT_FALSE(fs::exists(config.train.out));
  ASSERT_THAT(run(config, 1), IsOk());
  EXPECT_THAT(look_ahead(config, {.checkpoint = {}, .stages = {}, .init = {}})->from,
              HasSubstr("after epoch 3 (stage 1)"));
  config.train.learning_rate = 5e-4;
  EXPECT_THAT(look_ahead(config, {.checkpoint = {}, .stages = {}, .init = {}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.learning_rate")));
  recipe_of(config).data.train = {folder() / "nowhere"};
  EXPECT_THAT(look_ahead(config, {.checkpoint = {}, .stages = {}, .init = {}}),
              ErrorIs(ErrorCode::not_found, HasSubstr("nowhere")));
}

TEST_F(Trainer, asks_whether_stages_can_end_when_they_will_as_soon_as_epochs_tell) {
  TrainConfig config = tiny("run");
  std::vector<StageEnd::Expected> asked;
  const StageEnd stage_end([](const StageContext&) { return Status(); },
                           [&](const StageEnd::Expected& expected) {
                             asked.push_back(expected);
                             return Status(fail(ErrorCode::expired, "too late"));
                           });
  ASSERT_THAT(run(config, 1, stage_end), IsOk());
  ASSERT_EQ(asked.size(), 1U) << "after the first epoch, and then it is only said";
  EXPECT_THAT(run(config, 1, stage_end), IsOk()) << "there is nothing to be done";
  EXPECT_THAT(run(config, 1'000'000'000, stage_end), ErrorIs(ErrorCode::expired, "too late"));
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_GT(asked[1].run, 1000 * asked[1].stage);
  EXPECT_EQ(csv_rows(config.train.out).size(), 4U) << "nothing was trained";
  EXPECT_THAT(look_ahead(config, {.checkpoint = {}, .stages = 2, .init = {}}, stage_end),
              ErrorIs(ErrorCode::expired, "too late"));
}

TEST_F(Trainer, refuses_a_checkpoint_that_is_cut_short_or_damaged) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path path = config.train.out / "checkpoint";
  const auto size = fs::file_size(path);
  fs::copy_file(path, folder() / "whole");
  for (const std::uintmax_t length :
       {std::uintmax_t{0}, std::uintmax_t{10}, std::uintmax_t{60}, size / 2, size - 1}) {
    fs::copy_file(folder() / "whole", path, fs::copy_options::overwrite_existing);
    fs::resize_file(path, length);
    EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr(path.string())))
        << length << " bytes";
  }
  fs::copy_file(folder() / "whole", path, fs::copy_options::overwrite_existing);
  {
    std::fstream stream(path, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(size - 100));
    stream.put('\x55');
  }
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged")));

  // A header that still reads, but says another epoch.
  std::string text = *read_text_file(folder() / "whole");
  const std::size_t at = text.find("\"epoch\":3");
  ASSERT_NE(at, std::string::npos);
  text[at + 8] = '2';
  ASSERT_THAT(write_file_durably(path, text), IsOk());
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged")));
}

TEST_F(Trainer, reads_the_numbers_of_a_header_strictly) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path path = config.train.out / "checkpoint";
  const auto whole = models::read_model_file(path);
  ASSERT_THAT(whole, IsOk());
  const auto with = [&](const std::string& pointer, const nlohmann::json& value) {
    models::ModelFile changed = *whole;
    auto about = nlohmann::json::parse(changed.about);
    about[nlohmann::json::json_pointer(pointer)] = value;
    changed.about = about.dump();
    EXPECT_THAT(models::write_model_file(path, changed), IsOk());
  };
  for (const auto& value : {nlohmann::json(3.7), nlohmann::json(-3), nlohmann::json("3")}) {
    with("/epoch", value);
    EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr("epoch is ")));
    with("/ended_stages", value);
    EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr("ended stages is ")));
    with("/shape/latent", value == 3.7 ? nlohmann::json(8.5) : value);
    const auto described = models::description_in(models::read_model_file(path)->about);
    ASSERT_THAT(described, IsOk());
    EXPECT_THAT(generator::make_kind()->recipe(described->shape),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("latent is ")));
  }
  with("/history", "[[1,1.5,0.001,0.5,0.8,null,null,1.0]]");
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_data, HasSubstr("stage of its history")));
}

// As the first version wrote it: no kind, and a history of rows without names.
TEST_F(Trainer, goes_on_from_a_checkpoint_of_a_version_that_knew_one_kind) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path path = config.train.out / "checkpoint";
  auto file = models::read_model_file(path);
  ASSERT_THAT(file, IsOk());
  auto about = nlohmann::json::parse(file->about);
  about.erase("kind");
  auto text = about["config"].get<std::string>();
  about["config"] = text.erase(text.find("model.kind = "), text.find('\n') + 1);
  about["history"] = "[[1,1,0.002,0.5,0.25,null,null,0.5],[2,1,0.002,0.5,0.25,0.75,99.5,0.5],"
                     "[3,1,0.002,0.5,0.25,0.75,99.5,0.5]]";
  file->about = about.dump();
  ASSERT_THAT(models::write_model_file(path, *file), IsOk());
  TrainOptions options{.resume = TrainOptions::Resume::from_file,
                       .checkpoint = path,
                       .stages = 2,
                       .init = {}};
  fs::remove(config.train.out / "training.csv");
  ASSERT_THAT(train(config, options, {}), IsOk());
  const auto rows = csv_rows(config.train.out);
  ASSERT_EQ(rows.size(), 7U);
  EXPECT_TRUE(rows[2].starts_with("2,1,0.002,0.5,0.25,,,0.75,99.5,")) << rows[2];
}

// Files that it really wrote; its data, of which other machines have other bits, are changed here.
TEST_F(Trainer, reads_the_configuration_and_goes_on_from_the_checkpoint_of_an_earlier_version) {
  const fs::path earlier = fs::path(OUTCROP_SOURCE) / "tests" / "earlier";
  auto config = read_config(earlier / "train.toml", kinds::built_in());
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->kind, "generator");
  EXPECT_EQ(config->budgets.at("raspberry-pi-4").memory_mb, 400);
  const auto packed = data::read_unpacked(earlier / "checkpoint.gz", ByteCount::mib(4));
  ASSERT_THAT(packed, IsOk());
  config->train.out = folder() / "run";
  fs::create_directories(config->train.out);
  ASSERT_THAT(write_file_durably(config->train.out / "checkpoint", *packed), IsOk());
  ASSERT_THAT(make_toy_data(folder() / "other", 6, 1), IsOk());
  recipe_of(*config).data.train = {folder() / "other"};

  TrainOptions options;
  options.stages = 2;
  const auto refused = train(*config, options, {});
  EXPECT_THAT(refused, ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.train: digest ")));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("model."))) << "a new key refuses an old run";
  options.allow_change = true;
  const auto summary = train(*config, options, {});
  ASSERT_THAT(summary, IsOk());
  EXPECT_EQ(summary->epoch, 2);
  const auto rows = csv_rows(config->train.out);
  ASSERT_EQ(rows.size(), 3U);
  // Its values by their names, wherever they stood.
  EXPECT_EQ(rows[0], "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_velocity_loss,"
                     "held_out_gather_loss,held_out_ssim,held_out_mae_m_per_s,seconds");
  EXPECT_TRUE(rows[1].starts_with("1,1,0.0002,0.901912808,0.148978055,0.90452683,0.144432455,0.619722162,"
                                 "755.577339,")) << rows[1];
}

TEST_F(Trainer, refuses_a_checkpoint_of_another_kind) {
  TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  config.kind = "classifier";
  EXPECT_THAT(run(config, 2), ErrorIs(ErrorCode::invalid_argument,
                                      AllOf(HasSubstr("of the kind 'generator'"),
                                            HasSubstr("'classifier'"), HasSubstr("--out DIR"))));
}

TEST_F(Trainer, two_threads_resume_to_the_same_bits) {
  TrainConfig whole = tiny("whole-run");
  TrainConfig resumed = tiny("resumed-run");
  whole.train.threads = resumed.train.threads = 2;
  ASSERT_THAT(run(whole, 2), IsOk());
  ASSERT_THAT(run(resumed, 1), IsOk());
  ASSERT_THAT(run(resumed, 2), IsOk());
  expect_same_state(whole.train.out / "checkpoint", resumed.train.out / "checkpoint");
}

TEST_F(Trainer, tells_weights_and_checkpoints_apart_by_looking_inside) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  // Names that lie.
  const fs::path checkpoint = folder() / "model.weights";
  const fs::path weights = folder() / "checkpoint";
  fs::copy_file(config.train.out / "checkpoint", checkpoint);
  fs::copy_file(config.train.out / "tiny_stage1.weights", weights);
  EXPECT_EQ(models::read_model_file(checkpoint)->kind, models::ModelFileKind::checkpoint);
  EXPECT_EQ(models::read_model_file(weights)->kind, models::ModelFileKind::weights);
  EXPECT_THAT(models::description_in(models::read_model_file(checkpoint)->about), IsOk());
  TrainOptions options;
  options.stages = 2;
  options.resume = TrainOptions::Resume::from_file;
  options.checkpoint = weights;
  EXPECT_THAT(train(config, options, {}),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("pure weights, no checkpoint"), HasSubstr("--init WEIGHTS"))));
  options.checkpoint = data() / "model1.npy";
  EXPECT_THAT(train(config, options, {}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("neither weights nor a checkpoint")));
}

TEST_F(Trainer, a_full_disk_is_reported_and_the_old_checkpoint_kept) {
  const TrainConfig config = tiny("run");
  ASSERT_THAT(run(config, 1), IsOk());
  const fs::path path = config.train.out / "checkpoint";
  const auto before = *read_file(path, ByteCount::mib(64));
  // A file-size limit stands in for a full disk: write() fails part of the way.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited{};
  ::getrlimit(RLIMIT_FSIZE, &unlimited);
  rlimit small = unlimited;
  small.rlim_cur = before.size() / 2;
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto result = run(config, 2);
  ::setrlimit(RLIMIT_FSIZE, &unlimited);
  EXPECT_THAT(result, ErrorIs(ErrorCode::io, AllOf(HasSubstr("saving the checkpoint"),
                                                   HasSubstr("checkpoint.tmp"))));
  EXPECT_EQ(*read_file(path, ByteCount::mib(64)), before);
  EXPECT_THAT(run(config, 2), IsOk());
}

TEST_F(Trainer, a_loss_that_is_not_finite_stops_at_the_last_good_epoch_and_names_batch_and_layer) {
  const TrainConfig config = tiny("run");
  const auto result = run(config, 2, [](const StageContext& context) -> Status {
    // A weight that overflows its layer from the next epoch on.
    torch::NoGradGuard no_gradient;
    context.task.parts()[1].network.attr("up4").toModule().attr("weight").toTensor().fill_(3e38F);
    return {};
  });
  EXPECT_THAT(result,
              ErrorIs(ErrorCode::diverged,
                      AllOf(HasSubstr("stage 2, epoch 4, batch 1 of 2"), HasSubstr("samples "),
                            HasSubstr("--allow-change"),
                            HasSubstr("the output of velocity_decoder.up4 is not finite"),
                            HasSubstr("epoch 3 is the last good one"))));
  EXPECT_EQ(csv_rows(config.train.out).size(), 4U);
}

TEST_F(Trainer, control_c_ends_cleanly_and_says_where_it_stands) {
  TrainConfig config = tiny("run");
  config.train.stage_epochs = 10'000;
  const pid_t child = start_child(write_config(config), "1", folder() / "log");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (csv_rows(config.train.out).size() < 3 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ::kill(child, SIGINT);
  const int status = wait_for(child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  const auto said = read_text_file(folder() / "log.stderr");
  ASSERT_THAT(said, IsOk());
  EXPECT_THAT(*said, AllOf(HasSubstr("stopped in epoch"), HasSubstr("the last good one, saved in"),
                           HasSubstr("the same command goes on from there")));
}

TEST_F(Trainer, sigterm_ends_a_stage_end_that_cannot_be_asked_and_the_next_start_takes_it_up) {
  const TrainConfig config = tiny("run");
  const fs::path file = write_config(config);
  const pid_t child = start_child(file, "1", folder() / "log", true);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (read_text_file(folder() / "log").value_or("") != "1\n" &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ::kill(child, SIGTERM);
  const int status = wait_for(child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  EXPECT_THAT(*read_text_file(folder() / "log.stderr"),
              AllOf(HasSubstr("the signal to stop was heard"),
                    HasSubstr("stopped in the end of stage 1"), HasSubstr("saved in"),
                    HasSubstr("the same command takes it up")));
  EXPECT_EQ(wait_for(start_child(file, "1", folder() / "log")), 0);
  EXPECT_EQ(*read_text_file(folder() / "log"), "1\n1\n");
}

TEST_F(Trainer, two_processes_do_not_train_in_one_folder) {
  const TrainConfig config = tiny("run");
  Result<TrainSummary> inner = fail(ErrorCode::internal, "never ran");
  const auto outer = run(config, 1, [&](const StageContext&) -> Status {
    inner = run(config, 1);
    return {};
  });
  EXPECT_THAT(outer, IsOk());
  EXPECT_THAT(inner, ErrorIs(ErrorCode::refused, HasSubstr("another process is training")));
}

}  // namespace
}  // namespace outcrop::train
