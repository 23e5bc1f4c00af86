#include <gmock/gmock.h>

#include <torch/script.h>

#include <cmath>
#include <limits>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/module/module_kind.hpp"
#include "trainer_host/trainer/kinds/module/module_task.hpp"
#include "trainer_host/trainer/kinds/module/values.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::user_module {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using torch::Tensor;
namespace fs = std::filesystem;

// Written by tests/modules/make_modules.py.
fs::path module_file(const std::string& name) {
  return fs::path(OUTCROP_SOURCE) / "tests" / "modules" / (name + ".pt");
}

Status write_rows(const fs::path& folder, const std::string& name, const Tensor& values) {
  fs::create_directories(folder);
  return write_file_durably(folder / (name + ".npy"),
                            runtime::encode_npy(models::plain_tensor(name, values)));
}

// Images whose brightest quarter is their class.
Status write_digits(const fs::path& folder, std::int64_t count, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto labels = torch::randint(4, {count}, torch::kLong);
  auto images = 0.3 * torch::randn({count, 1, 8, 8});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto quarter = labels[i].item<std::int64_t>();
    const std::int64_t row = 4 * (quarter / 2), column = 4 * (quarter % 2);
    images[i][0].slice(0, row, row + 4).slice(1, column, column + 4) += 1.0;
  }
  OUTCROP_CHECK(write_rows(folder, "images", images));
  return write_rows(folder, "target", labels);
}

ModuleRecipe shipped(const std::string& name, const fs::path& rows) {
  ModuleRecipe recipe;
  recipe.file = module_file(name);
  recipe.trained = false;
  recipe.data.train = {rows};
  return recipe;
}

class UserModule : public testing::Test {
 protected:
  [[nodiscard]] fs::path rows() const { return folder_.path() / "rows"; }
  // Rows of four numbers for the modules whose argument is x.
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open_with_x(const std::string& name) const {
    torch::manual_seed(3);
    OUTCROP_CHECK(write_rows(rows(), "x", torch::rand({6, 4})));
    return shipped(name, rows()).open(0);
  }

  TemporaryFolder folder_;
};

TEST_F(UserModule, is_shipped_in_every_variant_that_can_be_made_of_it) {
  ASSERT_THAT(write_digits(rows(), 40, 1), IsOk());
  auto recipe = shipped("digits", rows());
  recipe.objective = *Objective::named("cross-entropy");
  auto task = recipe.open(0);
  ASSERT_THAT(task, IsOk());
  (*task)->set_training(false);
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "digits_stage1");
  ASSERT_THAT(exported, IsOk());
  EXPECT_TRUE(exported->left_out.empty());
  ASSERT_EQ(exported->variants.size(), 4U);
  const auto& int8 = exported->variants.back();
  EXPECT_EQ(int8.coverage.multiply_adds, 1.0);
  EXPECT_GT(int8.outputs.at("output").likeness, 0.7);
  EXPECT_EQ(exported->signature.served, "forward");
  EXPECT_EQ(messages::describe(exported->signature.serves().inputs.at(0)),
            "images: float32 [batch, 1, 8, 8]");
  EXPECT_EQ(exported->golden_calls.size(), 2U);

  auto model = models::LiteModel::load(exported->variants.front().file);
  ASSERT_THAT(model, IsOk());
  const auto quality = (*task)->judge(*model);
  ASSERT_THAT(quality, IsOk());
  EXPECT_EQ(quality->judged_by, "error");
  EXPECT_FALSE(quality->held_out);
  EXPECT_NE(quality->baseline(messages::mean_baseline), nullptr);
}

TEST_F(UserModule, learns_and_goes_on_from_weights_alone) {
  ASSERT_THAT(write_digits(rows(), 48, 1), IsOk());
  ASSERT_THAT(write_digits(folder_.path() / "other", 16, 2), IsOk());
  ModuleRecipe recipe;
  recipe.file = module_file("digits");
  recipe.objective = *Objective::named("cross-entropy");
  recipe.data.train = {rows()};
  recipe.data.validation = {folder_.path() / "other"};
  auto task = recipe.open(0);
  ASSERT_THAT(task, IsOk());
  EXPECT_EQ((*task)->data().held_out, 16U);
  const kinds::Phase phase = (*task)->phase(1);
  std::vector<Tensor> tensors;
  for (const auto& trained : phase.trained) tensors.push_back(trained.tensor);
  ASSERT_EQ(tensors.size(), 10U);
  torch::optim::Adam adam(tensors, torch::optim::AdamOptions(0.02));
  std::vector<kinds::Draw> draws;
  for (std::size_t i = 0; i < 48; ++i) draws.push_back({i, false});
  (*task)->set_training(true);
  for (int step = 0; step < 30; ++step) {
    adam.zero_grad();
    (*task)->loss(phase, draws).total.backward();
    adam.step();
  }
  (*task)->set_training(false);
  const auto scores = (*task)->score_held_out();
  ASSERT_EQ(scores.size() + 1, (*task)->columns().size());
  EXPECT_GT(*scores[1], 0.9);  // accuracy

  // As `outcrop evaluate` and `quantize` open it: by what weights say, without the user's file.
  auto again = make_kind()->recipe((*task)->shape());
  ASSERT_THAT(again, IsOk());
  (*again)->set_places({.train = {rows()}, .validation = {folder_.path() / "other"}, .only_scored = true});
  auto second = (*again)->open(0);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ((*second)->shape(), (*task)->shape());
  EXPECT_LT((*task)->shape().size(), 24'000U);
  ASSERT_THAT(models::restore(kinds::state_of(**second), kinds::state_of(**task)), IsOk());
  (*second)->set_training(false);
  EXPECT_EQ((*second)->score_held_out(), scores);
}

TEST_F(UserModule, is_trained_on_for_int8) {
  ASSERT_THAT(write_digits(rows(), 64, 1), IsOk());
  ModuleRecipe recipe;
  recipe.file = module_file("digits");
  recipe.objective = *Objective::named("cross-entropy");
  recipe.data.train = {rows()};
  auto task = recipe.open(0);
  ASSERT_THAT(task, IsOk());
  quantize::AwareTraining for_int8;
  ASSERT_THAT(for_int8.choose_ranges(**task), IsOk());
  const kinds::Phase phase = (*task)->phase(1);
  std::vector<Tensor> tensors;
  for (const auto& trained : phase.trained) tensors.push_back(trained.tensor);
  torch::optim::Adam adam(tensors, torch::optim::AdamOptions(0.01));
  std::vector<kinds::Draw> draws;
  for (std::size_t i = 0; i < 64; ++i) draws.push_back({i, false});
  double first = 0.0, last = 0.0;
  for (int step = 0; step < 12; ++step) {
    adam.zero_grad();
    const kinds::Loss loss = (*task)->loss(phase, draws);
    loss.total.backward();
    adam.step();
    last = *loss.parts[0];
    if (step == 0) first = last;
  }
  EXPECT_LT(last, first);
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  ASSERT_THAT(for_int8.choose_ranges(**task), IsOk());
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-qat", "int8-qat-quint8"};
  const auto exported = quantize::export_variants(kinds::export_of(**task), stage, "digits", choice);
  ASSERT_THAT(exported, IsOk());
  EXPECT_TRUE(exported->left_out.empty()) << exported->left_out.front().second;
  // Of weights that were not trained so it is left out.
  for_int8.leave(**task);
  const auto without = quantize::export_variants(kinds::export_of(**task), stage, "digits", choice);
  ASSERT_THAT(without, IsOk());
  ASSERT_EQ(without->left_out.size(), 2U);
  EXPECT_THAT(without->left_out.front().second, HasSubstr("train.qat_from"));
}

// Before anything is trained: a run asks for it first of all.
TEST_F(UserModule, of_several_inputs_is_not_trained_for_int8) {
  torch::manual_seed(1);
  ASSERT_THAT(write_rows(rows(), "signal", torch::randn({8, 16})), IsOk());
  ASSERT_THAT(write_rows(rows(), "sensor", torch::randint(3, {8}, torch::kLong)), IsOk());
  auto task = shipped("two_inputs", rows()).open(0);
  ASSERT_THAT(task, IsOk());
  quantize::AwareTraining for_int8;
  EXPECT_THAT(for_int8.choose_ranges(**task),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("from one tensor to one"), HasSubstr("takes 2 and gives 2"),
                                                    HasSubstr("static int8 takes it as it is"))));
}

TEST_F(UserModule, is_the_same_traced_and_begins_with_weights_beside_it) {
  ASSERT_THAT(write_digits(rows(), 8, 1), IsOk());
  auto scripted = shipped("digits", rows());
  auto values = shipped("in_training_mode", rows());
  EXPECT_THAT(values.open(0), ErrorIs(ErrorCode::unsupported,
                                      AllOf(HasSubstr("training mode"), HasSubstr("model.eval()"))));
  const auto answers = [](const ModuleRecipe& recipe) {
    const auto task = recipe.open(0);
    EXPECT_THAT(task, IsOk());
    const kinds::Export exported = (*task)->make_export();
    return exported.parts[0].network.deepcopy().forward({exported.parts[0].calibration.front()}).toTensor();
  };
  const Tensor told = answers(scripted);
  EXPECT_TRUE(torch::allclose(answers(shipped("traced", rows())), told, 1e-4, 1e-5));
  EXPECT_TRUE(torch::allclose(answers(shipped("frozen", rows())), told, 1e-4, 1e-5));
  // Others' values, and its own again.
  auto loaded = load_foreign(*read_file(module_file("in_training_mode"), ByteCount::mib(1)), "m");
  ASSERT_THAT(loaded, IsOk());
  ASSERT_THAT(take_values(module_file("digits_state"), loaded->module), IsOk());
  loaded->module.eval();
  const Tensor images = shipped("digits", rows()).open(0).value()->make_export().parts[0].calibration.front();
  EXPECT_TRUE(torch::allclose(loaded->module.forward({images}).toTensor(), told, 1e-4, 1e-5));
}

TEST_F(UserModule, of_several_inputs_and_outputs_is_int8_in_all_of_them) {
  torch::manual_seed(1);
  ASSERT_THAT(write_rows(rows(), "signal", torch::randn({40, 16})), IsOk());
  ASSERT_THAT(write_rows(rows(), "sensor", torch::randint(3, {40}, torch::kLong)), IsOk());
  auto task = shipped("two_inputs", rows()).open(0);
  ASSERT_THAT(task, IsOk());
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "two_stage1");
  ASSERT_THAT(exported, IsOk());
  EXPECT_TRUE(exported->left_out.empty());
  ASSERT_EQ(exported->variants.size(), 4U);
  for (const quantize::VariantFile& variant : exported->variants) {
    if (!variant.name.starts_with("int8")) continue;
    EXPECT_EQ(variant.coverage.multiply_adds, 1.0) << variant.name;
    EXPECT_GT(variant.outputs.at("output_1").sqnr_db(), 25.0) << variant.name;
    EXPECT_EQ(variant.outputs.at("output_2").noise, 0.0) << variant.name;  // where the loudest is: of the input itself
  }
  EXPECT_EQ(messages::describe(exported->signature.serves()),
            "forward(signal: float32 [batch, 16], sensor: int64 [batch]) -> output_1 float32 [batch, "
            "1], output_2 int64 [batch]");
  auto model = models::LiteModel::load(exported->variants.front().file);
  ASSERT_THAT(model, IsOk());
  EXPECT_THAT((*task)->judge(*model), ErrorIs(ErrorCode::not_found, HasSubstr("no loss")));
}

// What Python's networks are like, whose layers lie in modules in modules.
TEST_F(UserModule, of_blocks_is_int8_however_it_was_saved) {
  ASSERT_THAT(write_digits(rows(), 40, 1), IsOk());
  for (const char* name : {"mobile", "mobile_traced", "mobile_frozen", "unet"}) {
    auto recipe = shipped(name, rows());
    fs::remove(rows() / "target.npy");
    auto task = recipe.open(0);
    ASSERT_THAT(task, IsOk()) << name;
    const fs::path stage = folder_.path() / name;
    fs::create_directory(stage);
    const auto exported = quantize::export_variants((*task)->make_export(), stage, "m_stage1");
    ASSERT_THAT(exported, IsOk()) << name;
    for (const auto& [variant, why] : exported->left_out) ADD_FAILURE() << name << ": " << variant << ": " << why;
    for (const quantize::VariantFile& variant : exported->variants) {
      if (!variant.name.starts_with("int8")) continue;
      EXPECT_EQ(variant.coverage.multiply_adds, 1.0) << name;
      // Probabilities, or pixels of about one.
      EXPECT_LT(variant.outputs.at("output").mean_abs_error, 0.03) << name << " " << variant.name;
    }
    const auto& stays = exported->variants.back().stays_float;
    const bool norm = std::any_of(stays.begin(), stays.end(),
                                  [](const kinds::FloatPart& part) { return part.name == "layer_norm"; });
    EXPECT_EQ(norm, std::string(name) != "unet") << name;
  }
}

TEST_F(UserModule, with_attention_is_int8_but_for_products_of_activations) {
  struct Brought {
    std::string name;
    Tensor rows;
    std::int64_t linear;       // multiply-adds
    std::int64_t activations;  // of two tokens that meet each other, or four
  };
  torch::manual_seed(4);
  // One traced layer, and two of torch.nn's encoder as Python scripts it.
  const std::int64_t layer = 3 * 16 * 16 + 16 * 16 + 2 * 16 * 32;
  for (const Brought& one : {Brought{"encoder", torch::rand({6, 16}), 1088, 64},
                             Brought{"attention", torch::rand({24, 4, 16}), 4 * (2 * layer + 16 * 8), 2 * 2 * 4 * 4 * 16}}) {
    fs::remove_all(rows());
    ASSERT_THAT(write_rows(rows(), "x", one.rows), IsOk());
    auto task = shipped(one.name, rows()).open(0);
    ASSERT_THAT(task, IsOk());
    const fs::path stage = folder_.path() / one.name;
    fs::create_directory(stage);
    const auto exported = quantize::export_variants((*task)->make_export(), stage, "encoder_stage1");
    ASSERT_THAT(exported, IsOk());
    for (const auto& [variant, why] : exported->left_out) ADD_FAILURE() << variant << ": " << why;
    const quantize::VariantFile& int8 = exported->variants.back();
    EXPECT_NEAR(int8.coverage.multiply_adds, static_cast<double>(one.linear) / static_cast<double>(one.linear + one.activations),
                1e-9);
    EXPECT_TRUE(std::any_of(int8.stays_float.begin(), int8.stays_float.end(),
                            [](const kinds::FloatPart& part) { return part.name == "module.bmm"; }));
    EXPECT_LT(int8.outputs.at("output").mean_abs_error, 0.05) << one.name;
  }
}

// What they come to, by every method that makes a file of them: never a wrong one, or a reason.
TEST_F(UserModule, of_every_make_is_right_by_every_method_or_left_out_with_the_reason) {
  struct Brought {
    std::string name;
    std::string argument;
    Tensor rows;
    std::map<std::string, std::string> left_out;
  };
  torch::manual_seed(6);
  const std::string not_static = "no static int8 kernel";
  const std::string small = "too small";
  const std::string not_large = "no linear layer of 262144 weights";
  const std::string in_place = "changes a tensor in place (aten::mul_)";
  const std::vector<Brought> all{
      {"recurrent", "tokens", torch::randint(40, {24, 6}, torch::kLong),
       {{"int8-quint8", not_static}, {"int8-qint8", not_static}, {"int4-native", not_large}}},
      {"signals", "x", torch::randn({24, 4, 32}), {{"int4-native", not_large}}},
      {"resized", "images", torch::randn({24, 1, 8, 8}), {{"int4-native", not_large}}},
      {"resized_signals", "x", torch::randn({24, 4, 16}), {{"int4-native", not_large}}},
      {"brightest", "images", torch::randn({24, 1, 8, 8}),
       {{"int8-quint8", "adaptive_max_pool2d"}, {"int8-qint8", "adaptive_max_pool2d"}, {"int4-native", not_large}}},
      {"projected", "x", torch::randn({24, 5, 8}),
       {{"int8-quint8", in_place}, {"int8-qint8", in_place}, {"gptq-4bit", in_place}, {"awq-4bit", in_place},
        {"int4-native", in_place}}},
      {"encoder", "x", torch::rand({24, 16}),
       {{"fp16", small}, {"bf16", small}, {"int8-weights", small}, {"rtn-4bit", small}, {"gptq-4bit", small},
        {"awq-4bit", small}, {"int4-native", small}, {"nf4-4bit", small}}}};
  for (const Brought& one : all) {
    fs::remove_all(rows());
    ASSERT_THAT(write_rows(rows(), one.argument, one.rows), IsOk());
    auto task = shipped(one.name, rows()).open(0);
    ASSERT_THAT(task, IsOk()) << one.name;
    const fs::path stage = folder_.path() / one.name;
    fs::create_directory(stage);
    quantize::VariantChoice choice;
    choice.variants = {"float", "int8-quint8", "int8-qint8", "int8-dynamic", "fp16", "bf16", "int8-weights",
                       "rtn-4bit", "gptq-4bit", "awq-4bit", "int4-native", "nf4-4bit"};
    const auto exported = quantize::export_variants((*task)->make_export(), stage, "m", choice);
    ASSERT_THAT(exported, IsOk()) << one.name;
    for (const auto& [variant, why] : exported->left_out) {
      ASSERT_TRUE(one.left_out.contains(variant)) << one.name << ", " << variant << ": " << why;
      EXPECT_THAT(why, HasSubstr(one.left_out.at(variant)));
    }
    EXPECT_EQ(exported->left_out.size(), one.left_out.size()) << one.name;
    auto truth = models::LiteModel::load(exported->variants.front().file);
    ASSERT_THAT(truth, IsOk());
    const Tensor told = truth->call("forward", {one.rows})->front();
    for (const quantize::VariantFile& variant : exported->variants) {
      auto model = models::LiteModel::load(variant.file);
      ASSERT_THAT(model, IsOk());
      const Tensor answer = model->call("forward", {one.rows})->front();
      const double error = ((answer - told).norm() / told.norm()).item<double>();
      const double most = variant.name == "float" ? 0.0 : variant.name.ends_with("4bit") ? 0.3 : 0.06;
      EXPECT_LE(error, most) << one.name << " " << variant.name;
      if (variant.name != "float") EXPECT_GT(error, 0.0) << one.name << " " << variant.name;
    }
  }
}

TEST_F(UserModule, calibrated_by_a_row_or_two_is_said_to_be) {
  torch::manual_seed(7);
  for (const std::int64_t count : {1, 8}) {
    ASSERT_THAT(write_rows(rows(), "x", torch::randn({count, 4, 16})), IsOk());
    auto task = shipped("resized_signals", rows()).open(0);
    ASSERT_THAT(task, IsOk());
    const fs::path stage = folder_.path() / std::to_string(count);
    fs::create_directory(stage);
    quantize::VariantChoice choice;
    choice.variants = {"float", "int8-qint8"};
    const auto exported = quantize::export_variants((*task)->make_export(), stage, "m", choice);
    ASSERT_THAT(exported, IsOk());
    const auto& remarks = exported->variants.back().remarks;
    EXPECT_EQ(remarks.empty(), count == 8);
    if (!remarks.empty()) EXPECT_THAT(remarks.front().reason, HasSubstr("1 row alone"));
  }
}

TEST_F(UserModule, is_int8_or_float_by_layer) {
  torch::manual_seed(7);
  ASSERT_THAT(write_rows(rows(), "x", torch::randn({24, 4, 16})), IsOk());
  auto task = shipped("resized_signals", rows()).open(0);
  ASSERT_THAT(task, IsOk());
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-mixed"};
  choice.settling.mixed.aim = kinds::Aim::size;
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "m", choice);
  ASSERT_THAT(exported, IsOk());
  for (const auto& [variant, why] : exported->left_out) ADD_FAILURE() << variant << ": " << why;
  EXPECT_LT(exported->variants.back().outputs.at("output").mean_abs_error, 0.05);
}

TEST_F(UserModule, of_one_large_matrix_runs_in_4_bits_by_an_operator_of_ours) {
  torch::manual_seed(8);
  const std::int64_t inputs = 512;
  torch::jit::Module large("__torch__.Large", std::make_shared<torch::jit::CompilationUnit>());
  large.register_parameter("wide", torch::randn({inputs, inputs}) / 16, /*is_buffer=*/false);
  large.register_parameter("bias", torch::randn({inputs}), false);
  large.register_parameter("narrow", torch::randn({4, inputs}) / 16, false);
  large.define("def forward(self, x):\n    return torch.linear(torch.relu(torch.linear(x, self.wide, self.bias)), self.narrow)\n");
  const fs::path file = folder_.path() / "large.pt";
  large.save(file.string());
  const Tensor x = torch::randn({24, inputs});
  ASSERT_THAT(write_rows(rows(), "x", x), IsOk());
  auto recipe = shipped("", rows());
  recipe.file = file;
  auto task = recipe.open(0);
  ASSERT_THAT(task, IsOk());
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  quantize::VariantChoice choice;
  choice.variants = {"float", "gptq-4bit", "int4-native"};
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "m", choice);
  ASSERT_THAT(exported, IsOk());
  ASSERT_EQ(exported->variants.size(), 3U);
  const auto plan = quantize::read_plan(exported->variants[2].plan);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->layers.at(0).format, "4-bit-native");
  EXPECT_EQ(plan->layers.at(1).format, "4-bit");  // too small to gain
  std::vector<Tensor> answers;
  for (const quantize::VariantFile& variant : exported->variants) {
    auto model = models::LiteModel::load(variant.file);
    ASSERT_THAT(model, IsOk());
    answers.push_back(model->call("forward", {x})->front());
  }
  // The same codes; what is different is the input in int8.
  EXPECT_GT((answers[2] - answers[1]).norm().item<double>(), 0.0);
  EXPECT_LT((answers[2] - answers[1]).norm().item<double>(), 0.02 * answers[0].norm().item<double>());
  EXPECT_GT(exported->variants[2].coverage.multiply_adds, 0.99);
  EXPECT_EQ(exported->variants[1].coverage.multiply_adds, 0.0);

  // Columns in another order are none that the operator multiplies by.
  choice.variants = {"float", "int4-native"};
  choice.weights = quantize::WeightOptions{.desc_act = true};
  const auto ordered = quantize::export_variants((*task)->make_export(), stage, "m", choice);
  ASSERT_THAT(ordered, IsOk());
  ASSERT_EQ(ordered->left_out.size(), 1U);
  EXPECT_THAT(ordered->left_out.front().second,
              AllOf(HasSubstr("'" + plan->layers.at(0).layer + "' is 4-bit-native"), HasSubstr("desc_act")));
}

TEST_F(UserModule, of_one_large_matrix_runs_in_4_bits_in_even_groups_alone) {
  torch::manual_seed(8);
  const auto native_plan_of = [&](std::int64_t columns, std::int64_t group_size) -> Result<quantize::Plan> {
    torch::jit::Module large("__torch__.Large", std::make_shared<torch::jit::CompilationUnit>());
    large.register_parameter("wide", torch::randn({600, columns}) / 16, /*is_buffer=*/false);
    large.define("def forward(self, x):\n    return torch.linear(x, self.wide)\n");
    const std::string name = "large" + std::to_string(columns);
    const fs::path file = folder_.path() / (name + ".pt");
    large.save(file.string());
    const fs::path of_rows = folder_.path() / (name + ".rows");
    OUTCROP_CHECK(write_rows(of_rows, "x", torch::randn({24, columns})));
    auto recipe = shipped("", of_rows);
    recipe.file = file;
    OUTCROP_TRY(task, recipe.open(0));
    quantize::VariantChoice choice;
    choice.variants = {"float", "int4-native"};
    choice.weights = quantize::WeightOptions{.group_size = group_size};
    const fs::path stage = folder_.path() / (name + ".stage");
    fs::create_directory(stage);
    OUTCROP_TRY(exported, quantize::export_variants(task->make_export(), stage, "m", choice));
    if (!exported.left_out.empty()) return fail(ErrorCode::unsupported, exported.left_out.front().second);
    return quantize::read_plan(exported.variants.back().plan);
  };
  const auto even = native_plan_of(450, 25);
  ASSERT_THAT(even, IsOk());
  EXPECT_EQ(even->layers.at(0).format, "4-bit-native");
  EXPECT_THAT(even->layers.at(0).reason, HasSubstr("groups of 18 weights"));
  EXPECT_THAT(native_plan_of(449, 128), ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("no even group"), HasSubstr("rows of 449"))));
}

TEST_F(UserModule, with_a_loop_that_its_input_decides_is_float) {
  auto task = open_with_x("loop");
  ASSERT_THAT(task, IsOk());
  const fs::path stage = folder_.path() / "stage";
  fs::create_directory(stage);
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "loop_stage1");
  ASSERT_THAT(exported, IsOk());
  ASSERT_EQ(exported->left_out.size(), 2U);
  EXPECT_THAT(exported->left_out[1].second, HasSubstr("prim::Loop"));
}

TEST_F(UserModule, that_nobody_could_serve_is_refused_with_what_would_be_right) {
  const auto refusal = [&](const std::string& name) {
    const auto task = open_with_x(name);
    return task ? std::string("it was taken") : task.error().message();
  };
  EXPECT_THAT(refusal("takes_dict"), AllOf(HasSubstr("'named' is a Dict[str, Tensor]"), HasSubstr("wrap it")));
  EXPECT_THAT(refusal("packs"), HasSubstr("packs sequences"));
  EXPECT_THAT(refusal("gives_list"), AllOf(HasSubstr("List[Tuple[Tensor, Tensor]]"), HasSubstr("wrap it")));
  EXPECT_THAT(refusal("changes_input"), AllOf(HasSubstr("changes its input"), HasSubstr("clone")));
  EXPECT_THAT(refusal("draws"), AllOf(HasSubstr("same twice"), HasSubstr("seed")));
  EXPECT_THAT(refusal("summed"), HasSubstr("first dimension"));
  EXPECT_THAT(refusal("half"), AllOf(HasSubstr("'step.weight' is Double"), HasSubstr("model.float()")));
  EXPECT_THAT(refusal("digits_state"), AllOf(HasSubstr("no TorchScript"), HasSubstr("torch.jit.script")));
  EXPECT_THAT(refusal("../modules/README"), HasSubstr("No such file"));
}

TEST_F(UserModule, that_is_a_board_s_file_is_refused) {
  torch::jit::Module module("__torch__.Doubling");
  module.define("def forward(self, x): return x * 2.0\n");
  module.register_attribute("training", c10::BoolType::get(), false);
  ASSERT_THAT(write_rows(rows(), "x", torch::rand({3, 4})), IsOk());
  auto recipe = shipped("tied", rows());
  recipe.file = folder_.path() / "doubling.pt";
  module.save(recipe.file.string());
  EXPECT_THAT(recipe.open(0), IsOk());
  module._save_for_mobile(recipe.file.string());
  EXPECT_THAT(load_foreign(*read_file(recipe.file, ByteCount::mib(1)), "doubling.pt"),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("doubling.pt: it is a file for boards"), HasSubstr("bring the .pt"))));
}

TEST_F(UserModule, whose_answers_are_not_finite_is_refused_by_their_name) {
  torch::jit::Module module("__torch__.Logarithm");
  module.define("def forward(self, x): return (x, torch.log(x - 1.0))\n");
  module.register_attribute("training", c10::BoolType::get(), false);
  const fs::path file = folder_.path() / "logarithm.pt";
  module.save(file.string());
  ASSERT_THAT(write_rows(rows(), "x", torch::full({3, 4}, 0.5F)), IsOk());
  auto recipe = shipped("tied", rows());
  recipe.file = file;
  EXPECT_THAT(recipe.open(0), ErrorIs(ErrorCode::diverged, HasSubstr("its output_2 is not finite")));
}

TEST_F(UserModule, one_weight_by_two_names_stays_one) {
  auto task = open_with_x("tied");
  ASSERT_THAT(task, IsOk());
  const auto again = make_kind()->recipe((*task)->shape());
  ASSERT_THAT(again, IsOk());
  (*again)->set_places({.train = {rows()}, .only_scored = true});
  const auto second = (*again)->open(0);
  ASSERT_THAT(second, IsOk());
  const auto state = kinds::state_of(**second);
  ASSERT_EQ(state.size(), 2U);
  EXPECT_EQ(state[0].second.data_ptr(), state[1].second.data_ptr());
}

TEST_F(UserModule, its_rows_are_checked_before_anything_is_done) {
  const auto refusal = [&] {
    const auto task = shipped("tied", rows()).open(0);
    return task ? std::string("they were taken") : task.error().message();
  };
  EXPECT_THAT(refusal(), AllOf(HasSubstr("no folder"), HasSubstr("x.npy")));
  fs::create_directories(rows());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("nothing for 'x'"), HasSubstr("rows.safetensors")));
  auto x = torch::rand({3, 4});
  x[1][2] = std::numeric_limits<float>::quiet_NaN();
  ASSERT_THAT(write_rows(rows(), "x", x), IsOk());
  EXPECT_THAT(refusal(), HasSubstr("not finite in row 1"));
  ASSERT_THAT(write_rows(rows(), "x", torch::rand({3, 4})), IsOk());
  ASSERT_THAT(write_rows(rows(), "target", torch::rand({2, 4})), IsOk());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("'target' has 2 rows"), HasSubstr("3")));
  ASSERT_THAT(write_rows(rows(), "x", torch::rand({2, 5})), IsOk());
  EXPECT_THAT(refusal(), AllOf(HasSubstr("raises for rows of these data"), HasSubstr("x [2, 5]"), HasSubstr(rows().string()),
                               HasSubstr("(Linear), takes [rows, ..., 4]")));

  ASSERT_THAT(write_rows(rows(), "x", torch::rand({2, 4})), IsOk());
  auto learned = shipped("tied", rows());
  learned.objective = *Objective::named("cross-entropy");
  EXPECT_THAT(learned.open(0), ErrorIs(ErrorCode::invalid_data, HasSubstr("int64 [N], a class each")));
  learned.objective = *Objective::named("mse");
  learned.data.validation = {rows()};
  EXPECT_THAT(learned.open(0),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("2 of 2 rows that are held out")));
  // Of every row, and whatever its shape.
  ASSERT_THAT(write_rows(rows(), "target", torch::rand({2})), IsOk());
  learned.data.validation.clear();
  EXPECT_THAT(learned.open(0), ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("float32 [N];"), HasSubstr("[N, 4]"))));
  learned.objective = *Objective::named("cross-entropy");
  ASSERT_THAT(write_rows(rows(), "target", torch::tensor({0, 7})), IsOk());
  EXPECT_THAT(learned.open(0), ErrorIs(ErrorCode::invalid_data, HasSubstr("from 0 to 7")));
  EXPECT_THAT(Objective::named("msee"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("huber")));
}

TEST_F(UserModule, takes_rows_of_one_safetensors_file) {
  fs::create_directories(rows());
  torch::manual_seed(2);
  const std::vector<runtime::Tensor> tensors{models::plain_tensor("x", torch::rand({5, 4})),
                                             models::plain_tensor("target", torch::rand({5, 4}))};
  ASSERT_THAT(runtime::write_tensor_file(rows() / "rows.safetensors", tensors), IsOk());
  const auto split = open_rows({.train = {rows()}, .held_out = 2}, {"x"});
  ASSERT_THAT(split, IsOk());
  EXPECT_EQ(split->training.size(), 3U);
  EXPECT_EQ(split->held_out.size(), 2U);
  EXPECT_TRUE(torch::equal(split->held_out.target[0], models::torch_tensor(tensors[1])[3]));
}

TEST(Objectives, count_and_measure_as_their_names_say) {
  const auto logits = torch::tensor({{2.0F, 1.0F}, {0.0F, 3.0F}, {1.0F, 0.0F}, {1.0F, 0.0F}});
  const auto classes = torch::tensor({0, 1, 1, 0});
  const auto of_classes = *Objective::named("cross-entropy");
  EXPECT_THAT(of_classes.check(logits, classes), IsOk());
  EXPECT_DOUBLE_EQ(*of_classes.score(logits, classes).find("accuracy"), 0.75);
  EXPECT_THAT(of_classes.check(logits, torch::tensor({0, 1, 2, 0})),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("from 0 to 2")));
  // The most frequent class of what was learned from.
  const auto most = of_classes.mean_answer(torch::tensor({1, 1, 0}), logits);
  EXPECT_TRUE(torch::equal(most.argmax(1), torch::ones({4}, torch::kLong)));
  const auto mae = *Objective::named("mae");
  const auto score = mae.score(torch::tensor({1.0F, 3.0F}), torch::tensor({1.0F, 1.0F}));
  EXPECT_DOUBLE_EQ(*score.find("mae"), 1.0);
  EXPECT_DOUBLE_EQ(*score.find("rmse"), std::sqrt(2.0));
}

}  // namespace
}  // namespace outcrop::user_module
