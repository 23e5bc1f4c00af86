#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/runner.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/quantize/methods/mixed_int8.hpp"
#include "trainer_host/trainer/quantize/methods/static_int8.hpp"
#include "trainer_host/trainer/quantize/mixed/judged_rows.hpp"
#include "trainer_host/trainer/quantize/mobile_bytes.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::jit::Module;

constexpr const char* planted = "module.third";

// Four linear layers, the first two wide. A row of the third is far larger than the others, which one scale for all of its
// weights leaves next to nothing of; what comes out of it is of like size.
kinds::Export planted_chain() {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  at::Generator random = at::detail::createCPUGenerator(5);
  const auto drawn = [&](std::vector<std::int64_t> shape, double deviation) {
    return torch::empty(shape).normal_(0.0, deviation, random);
  };
  Module network("__torch__.Chain", unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), false);
  const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out, const torch::Tensor& rows) {
    Module layer("__torch__.torch.nn.modules.linear.Linear", unit, /*shouldMangle=*/true);
    const auto weight = drawn({out, in}, 1.0 / std::sqrt(static_cast<double>(in)));
    layer.register_parameter("weight", rows.defined() ? weight * rows.unsqueeze(1) : weight, false);
    layer.register_parameter("bias", drawn({out}, 0.1), false);
    layer.define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n");
    network.register_module(name, layer);
  };
  auto rows = torch::full({24}, 0.02);
  rows[7] = 3.0;
  linear("first", 16, 48, {});
  linear("second", 48, 32, {});
  linear("third", 32, 24, rows);
  linear("fourth", 24, 8, {});
  // As large as the others, whatever it was.
  network.register_buffer("again", 1.0 / rows);
  network.define(R"(
def forward(self, x):
    y = torch.relu(self.first.forward(x))
    y = torch.relu(self.second.forward(y))
    y = torch.tanh(self.third.forward(y) * self.again)
    return self.fourth.forward(y)
)");
  kinds::Export exported;
  exported.made_by_others = true;
  kinds::ExportPart part{"module", network, {drawn({64, 16}, 1.0)}};
  part.answers_floats = true;
  exported.parts.push_back(std::move(part));
  exported.compose = [](std::vector<kinds::PartForm> forms) { return std::move(forms.at(0).module); };
  const messages::TensorType in{"float32", {"batch", 16}, "", std::nullopt};
  const messages::TensorType out{"float32", {"batch", 8}, "", std::nullopt};
  exported.signature = {"forward", {{"forward", {{"x", in}}, {{"output", out, messages::Score::absolute}}}}};
  exported.goldens = {{"forward", {drawn({2, 16}, 1.0)}}};
  exported.bounds["output"] = {{1e-3, 5e-2}, {1.0, 10.0}, {1e-2, 0.5}};
  return exported;
}

std::shared_ptr<const Method> usual_static() {
  return make_static_int8(ActivationType::qint8, observer_kinds().front().name);
}

// Of the four.
std::vector<std::string> kept_float(const Plan& plan) {
  std::vector<std::string> names;
  for (const LayerDecision& layer : plan.layers) {
    if (layer.operation == "linear" && layer.format == "float") names.push_back(layer.layer);
  }
  return names;
}

class Mixed : public ::testing::Test {
 protected:
  Result<Settled> settle(const Settling& how) const {
    const torch::NoGradGuard no_gradient;
    at::set_num_threads(1);
    const auto mixed = make_mixed_int8(usual_static());
    OUTCROP_TRY(plan, mixed->plan(model_));
    return mixed->settle(std::move(plan), model_, how);
  }

  kinds::Export model_ = planted_chain();
};

// What whole models are, all sixteen of them.
TEST_F(Mixed, chooses_what_trying_everything_chooses) {
  const torch::NoGradGuard no_gradient;
  const auto maker = usual_static();
  auto plan = maker->plan(model_);
  ASSERT_THAT(plan, IsOk());
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < plan->layers.size(); ++i) {
    if (plan->layers[i].format == "int8") places.push_back(i);
  }
  ASSERT_EQ(places.size(), 4U);
  const JudgedRows rows(model_, 64, 32);
  struct Made {
    Plan plan;
    Whole whole;
  };
  std::vector<Made> all;
  for (unsigned bits = 0; bits < 16; ++bits) {
    Plan one = *plan;
    for (std::size_t i = 0; i < 4; ++i) one.layers[places[i]].format = ((bits >> i) & 1U) != 0 ? "int8" : "float";
    auto made = maker->apply(one, rows.to_calibrate());
    ASSERT_THAT(made, IsOk());
    const double noise = rows.noise_of(made->forms);
    const auto bytes = static_cast<double>(mobile_bytes(made->forms.front().module).size());
    all.push_back({std::move(one), {.bytes = bytes, .noise = noise}});
  }
  // Room for the third and the fourth in float, or for the first.
  const kinds::MixedWishes wishes{
      .budget_size = ByteCount(static_cast<std::uint64_t>(all.back().whole.bytes) + 4000)};
  const Made* best = nullptr;
  for (const Made& one : all) {
    if (keeps(one.whole, wishes) && (best == nullptr || one.whole.noise < best->whole.noise)) best = &one;
  }
  ASSERT_NE(best, nullptr);
  const auto settled = settle({.mixed = wishes});
  ASSERT_THAT(settled, IsOk());
  EXPECT_EQ(kept_float(settled->plan), kept_float(best->plan));
  EXPECT_THAT(kept_float(settled->plan), ::testing::Contains(planted));
  EXPECT_LE(settled->report->evaluations.size(), 10U);
}

TEST_F(Mixed, is_never_worse_than_all_int8_and_all_float_in_what_was_asked) {
  for (const kinds::MixedWishes& wishes :
       {kinds::MixedWishes(), kinds::MixedWishes{.min_db = 35.0}, kinds::MixedWishes{.min_db = 30.0, .aim = kinds::Aim::size}}) {
    const auto settled = settle({.mixed = wishes});
    if (!settled && wishes.wanted() == kinds::Aim::speed) {  // of so small a chain float may be the fastest
      EXPECT_THAT(settled, ErrorIs(ErrorCode::refused, HasSubstr("float keeps to this already")));
      continue;
    }
    ASSERT_THAT(settled, IsOk());
    const MixedReport& report = *settled->report;
    const auto chosen = std::find_if(report.evaluations.begin(), report.evaluations.end(),
                                     [](const MixedEvaluation& one) { return one.chosen; });
    ASSERT_NE(chosen, report.evaluations.end());
    EXPECT_TRUE(keeps(chosen->whole, report.wishes));
    for (std::size_t end = 0; end < 2; ++end) {
      const Whole& other = report.evaluations.at(end).whole;
      EXPECT_FALSE(keeps(other, report.wishes) && is_better(other, chosen->whole, report.wishes.wanted()))
          << kinds::in_words(wishes) << ": " << report.evaluations.at(end).what;
    }
    EXPECT_THAT(mixed_text(report), AllOf(HasSubstr(planted), HasSubstr("chosen")));
  }
}

TEST_F(Mixed, says_what_comes_nearest_to_a_budget_that_nothing_keeps) {
  EXPECT_THAT(settle({.mixed = {.budget_size = ByteCount(1000)}}),
              ErrorIs(ErrorCode::refused, AllOf(HasSubstr("1.00 kB"), HasSubstr("all int8, 4 of 4"))));
}

TEST_F(Mixed, is_none_where_float_keeps_to_what_is_asked) {
  EXPECT_THAT(settle({.mixed = {.budget_size = ByteCount(1 << 20)}}),
              ErrorIs(ErrorCode::refused, AllOf(HasSubstr("float keeps to this already"), HasSubstr("--aim size"))));
}

TEST_F(Mixed, of_few_rows_says_that_they_calibrated_and_judged) {
  const auto remarks = [&] {
    const auto settled = settle({.mixed = {.aim = kinds::Aim::size}});
    EXPECT_THAT(settled, IsOk());
    return settled ? settled->report->remarks : std::vector<std::string>();
  };
  const auto by_the_same = ::testing::Contains(HasSubstr("fewer than 8 rows"));
  EXPECT_THAT(remarks(), ::testing::Not(by_the_same));
  torch::Tensor& rows = model_.parts.front().calibration.front();
  rows = rows.slice(0, 0, 7).contiguous();
  EXPECT_THAT(remarks(), by_the_same);
}

TEST_F(Mixed, goes_by_costs_from_elsewhere_and_refuses_those_of_another_model) {
  auto plan = make_mixed_int8(usual_static())->plan(model_);
  ASSERT_THAT(plan, IsOk());
  for (LayerDecision& layer : plan->layers) layer.cost = LayerCost{.int8_ms = 1.0, .float_ms = 3.0};
  plan->layers[1].cost = LayerCost{.int8_ms = 9.0, .float_ms = 2.0, .leave_ms = 0.5};
  plan->other_ms = 1.0;
  Settling how{.mixed = {.aim = kinds::Aim::speed}, .costs = *plan};
  const auto settled = settle(how);
  ASSERT_THAT(settled, IsOk());
  EXPECT_EQ(kept_float(settled->plan), std::vector<std::string>{"module.second"});
  EXPECT_EQ(settled->plan.layer("module.second")->cost->int8_ms, 9.0);

  how.costs->layers[2].layer = "module.other";
  EXPECT_THAT(settle(how), ErrorIs(ErrorCode::invalid_argument, HasSubstr("module.third")));
  how.costs = *plan;
  how.costs->layers[2].weights = 7;
  EXPECT_THAT(settle(how), ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("module.third"), HasSubstr("of 7 weights"))));
  how.costs = *plan;
  how.costs->layers[2].cost.reset();
  EXPECT_THAT(settle(how), ErrorIs(ErrorCode::invalid_argument, HasSubstr("int8_ms")));
}

// As a board's runner times them, sent and read.
Result<messages::Layers> told_by_a_board(kinds::Export model) {
  const TemporaryFolder folder;
  model.made_by_others = false;  // however much is lost in int8
  VariantChoice choice;
  choice.variants = {"float", "int8-qint8"};
  OUTCROP_TRY(stage, export_variants(model, folder.path(), "chain", choice));
  OUTCROP_TRY(lock, runtime::MeasurementLock::acquire(std::chrono::milliseconds(0), {folder.path()}));
  const auto& rows = std::get<torch::Tensor>(model.goldens.front().arguments.front());
  const std::span values(rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel()));
  messages::Layers layers;
  layers.header.device = "pi-1";
  layers.device_class = "raspberry-pi-4";
  layers.engine = "torch";
  for (const VariantFile& variant : stage.variants) {
    OUTCROP_TRY(digest, trust::sha256_file(variant.file));
    OUTCROP_TRY(blob, trust::verify_blob(variant.file, digest, ByteCount(fs::file_size(variant.file))));
    OUTCROP_TRY(runner, runtime::Runner::start({.program = OUTCROP_BIN "/outcrop-runner-torch"}));
    OUTCROP_TRY(inspection, runner.inspect(blob));
    OUTCROP_CHECK(runner.load(blob, {.allowed_operators = inspection.operators}));
    OUTCROP_TRY(timings, runner.time_operators(lock, {.method = "forward",
                                                      .arguments = {runtime::Tensor::of_floats("", rows.sizes().vec(), values)},
                                                      .maximum_calls = 5}));
    messages::VariantLayers told{variant.name, "", timings.calls, {}};
    for (const auto& one : timings.operators) told.operators.push_back({one.name, one.time});
    layers.variants.push_back(std::move(told));
  }
  const std::string text = to_json(layers);
  return messages::parse_layers(as_bytes(text));
}

TEST_F(Mixed, goes_by_what_a_board_told_of_operators_where_they_are_those_of_its_layers) {
  const torch::NoGradGuard no_gradient;
  auto told = told_by_a_board(model_);
  ASSERT_THAT(told, IsOk());
  ASSERT_EQ(told->variants.size(), 2U);
  // A board on which the second layer is slow in int8, and no other.
  for (messages::VariantLayers& variant : told->variants) {
    std::size_t layer = 0;
    for (auto& one : variant.operators) {
      const bool linear = one.name.find("::linear") != std::string::npos;
      if (linear) ++layer;
      const int ms = variant.name == "float" ? (layer == 2 ? 2 : 3) : (layer == 2 ? 9 : 1);
      one.time = linear ? std::chrono::milliseconds(ms) : std::chrono::microseconds(10);
    }
    EXPECT_EQ(layer, 4U) << variant.name;
  }
  Settling how{.mixed = {.aim = kinds::Aim::speed}, .board = *told};
  const auto settled = settle(how);
  ASSERT_THAT(settled, IsOk());
  EXPECT_EQ(kept_float(settled->plan), std::vector<std::string>{"module.second"});
  EXPECT_NEAR(settled->plan.layer("module.second")->cost->int8_ms, 9.0, 0.1);
  EXPECT_NEAR(settled->plan.layer("module.second")->cost->float_ms, 2.0, 0.1);
  EXPECT_GT(settled->plan.layer("module.first")->cost->enter_ms, 0.0);
  EXPECT_GT(settled->plan.layer("module.fourth")->cost->end_ms, 0.0);
  EXPECT_THAT(settled->report->remarks, ::testing::Contains(HasSubstr("pi-1 (raspberry-pi-4)")));

  const auto refused = [&](const std::function<void(messages::Layers&)>& change, const std::string& why) {
    how.board = *told;
    change(*how.board);
    EXPECT_THAT(settle(how), ErrorIs(ErrorCode::invalid_argument, HasSubstr(why)));
  };
  refused([](auto& layers) { layers.variants.pop_back(); }, "no times of 'int8-qint8'");
  refused([](auto& layers) { layers.variants[0].reason = "other work"; }, "has not timed 'float': other work");
  const auto rename = [](std::size_t variant) {
    return [variant](messages::Layers& layers) { layers.variants[variant].operators[2].name = "aten::gelu"; };
  };
  refused(rename(0), "of 'float' is");
  refused(rename(1), "of 'int8-qint8' is");
  refused([](auto& layers) { layers.variants[1].operators.pop_back(); }, "the board runs nothing more");
  refused([](auto& layers) { layers.variants[1].operators.push_back({"aten::relu", {}}); }, "the board runs aten::relu as well");
  refused([](auto& layers) { layers.variants[0].operators.push_back({"aten::linear", {}}); }, "the board runs aten::linear as well");
  // Batch norms are folded in float islands: what they take is nobody's.
  how.board = *told;
  auto& plain = how.board->variants[0].operators;
  plain.insert(plain.begin() + 1, {"aten::batch_norm", std::chrono::seconds(1)});
  const auto folded = settle(how);
  ASSERT_THAT(folded, IsOk());
  EXPECT_EQ(folded->plan.layer("module.first")->cost->float_ms, settled->plan.layer("module.first")->cost->float_ms);
}

TEST_F(Mixed, makes_a_plan_that_is_made_again_as_it_stands) {
  const TemporaryFolder folder;
  VariantChoice choice;
  choice.variants = {"float", "int8-mixed"};
  const auto smallest = settle({.mixed = {.aim = kinds::Aim::size}});
  ASSERT_THAT(smallest, IsOk());
  const auto all_int8 = static_cast<std::uint64_t>(smallest->report->evaluations.at(1).whole.bytes);
  choice.settling.mixed.budget_size = ByteCount(all_int8 + 4000);  // room for some in float
  const auto first = export_variants(model_, folder.path(), "chain", choice);
  ASSERT_THAT(first, IsOk());
  ASSERT_EQ(first->variants.size(), 2U);
  EXPECT_TRUE(first->variants[1].mixed.has_value());
  auto plan = read_plan(first->variants[1].plan);
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(kept_float(*plan), ::testing::Contains(planted));
  EXPECT_LT(kept_float(*plan).size(), 4U);
  EXPECT_GT(plan->layers.front().cost->float_ms, 0.0);
  for (LayerDecision& layer : plan->layers) {
    if (layer.operation == "linear" && layer.layer != planted) layer.format = "int8";
  }
  choice.plan = *plan;
  const auto second = export_variants(model_, folder.path(), "chain", choice);
  ASSERT_THAT(second, IsOk());
  EXPECT_FALSE(second->variants[1].mixed.has_value());
  const auto again = read_plan(second->variants[1].plan);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(kept_float(*again), std::vector<std::string>{planted});
  EXPECT_EQ(again->layers.front().cost, plan->layers.front().cost);
  EXPECT_EQ(again->other_ms, plan->other_ms);
}

TEST(Remarks, say_other_groups_than_were_asked_for_and_files_larger_than_float) {
  const TemporaryFolder folder;
  VariantChoice choice;
  choice.variants = {"float", "rtn-4bit"};
  choice.weights = WeightOptions{.group_size = 20};
  const auto stage = export_variants(planted_chain(), folder.path(), "chain", choice);
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->variants.size(), 2U);
  const VariantFile& coded = stage->variants.back();
  const auto says = [&](const std::string& name, const std::string& what) {
    return std::any_of(coded.remarks.begin(), coded.remarks.end(), [&](const kinds::FloatPart& one) {
      return one.name == name && one.reason.find(what) != std::string::npos;
    });
  };
  EXPECT_TRUE(says("module.second", "groups of 16 weights: its rows of 48 do not divide by 20"));
  EXPECT_FALSE(says("module.first", "groups"));  // all of a row of 16
  EXPECT_EQ(says("the file", "larger than float's"), coded.size > stage->variants.front().size);
  EXPECT_THAT(read_plan(coded.plan)->layer("module.second")->reason, HasSubstr("groups of 16"));
}

TEST_F(Mixed, is_left_out_of_a_stage_where_nothing_keeps_the_budget) {
  const TemporaryFolder folder;
  model_.made_by_others = false;
  VariantChoice choice;
  choice.variants = {"float", "int8-mixed"};
  choice.settling.mixed.budget_size = ByteCount(1000);
  const auto stage = export_variants(model_, folder.path(), "chain", choice);
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->left_out.size(), 1U);
  EXPECT_THAT(stage->left_out.front().second, HasSubstr("The nearest"));
}

}  // namespace
}  // namespace outcrop::quantize
