#include <torch/csrc/jit/mobile/import.h>
#include <torch/script.h>

#include <gmock/gmock.h>

#include <functional>
#include <set>
#include <sstream>

#include "runtime/inspect/torch_inspection.hpp"
#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/codes/awq.hpp"
#include "trainer_host/trainer/quantize/codes/gptq.hpp"
#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"
#include "trainer_host/trainer/quantize/storage/module_copy.hpp"
#include "trainer_host/trainer/quantize/storage/with_stored.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using torch::Tensor;
using torch::jit::Module;
using Shape = std::vector<std::int64_t>;

// These tensors are small: threads would wait for each other, and for those of tests beside this one.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

Tensor random_tensor(at::IntArrayRef shape, std::uint64_t seed = 1) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed));
}

Module layer_with(const Tensor& weight, const Tensor& bias, const std::string& call) {
  Module layer("__torch__.torch.nn.modules.Layer", std::make_shared<torch::jit::CompilationUnit>(), true);
  layer.register_parameter("weight", weight, false);
  if (bias.defined()) layer.register_parameter("bias", bias, false);
  layer.register_attribute("training", c10::BoolType::get(), false);
  layer.define("def forward(self, x):\n    return " + call + "\n");
  return layer;
}

Module linear_layer(const Shape& shape, bool has_bias = true) {
  return layer_with(random_tensor(shape), has_bias ? random_tensor({shape[0]}, 2) : Tensor(),
                    std::string("torch.linear(x, self.weight, ") + (has_bias ? "self.bias)" : "None)"));
}

std::string saved_plainly(const Module& module) {
  std::ostringstream stream;
  module.save(stream);
  return std::move(stream).str();
}

std::string saved_for_boards(const Module& module) {
  std::ostringstream stream;
  module._save_for_mobile(stream);
  return std::move(stream).str();
}

Module loaded(const std::string& bytes) {
  std::istringstream stream(bytes);
  return torch::jit::load(stream);
}

Tensor answer_of(Module module, const Tensor& input) {
  const torch::NoGradGuard no_gradient;
  return module.forward({input}).toTensor();
}

Tensor answer_on_a_board(const std::string& bytes, const Tensor& input) {
  auto model = models::LiteModel::load(bytes, "model");
  if (!model) throw std::runtime_error(model.error().message());
  auto answer = model->call("forward", {input});
  if (!answer) throw std::runtime_error(answer.error().message());
  return answer->front();
}

// The same bits in memory, from a .pt, from a .ptl, and from both saved again after a load.
void expect_same_everywhere(const Module& module, const Tensor& input) {
  const Tensor here = answer_of(module, input);
  const Module again = loaded(saved_plainly(module));
  EXPECT_TRUE(torch::equal(answer_of(again, input), here));
  EXPECT_TRUE(torch::equal(answer_of(loaded(saved_plainly(again)), input), here));
  EXPECT_TRUE(torch::equal(answer_on_a_board(saved_for_boards(module), input), here));
  EXPECT_TRUE(torch::equal(answer_on_a_board(saved_for_boards(again), input), here));
}

StoredTensor taken(Result<StoredTensor> made) {
  if (!made) throw std::runtime_error(made.error().message());
  return *std::move(made);
}

struct Form {
  const char* name;
  std::function<StoredTensor(const Tensor& weight, bool rows_second)> of;
  double bits;  // a weight, of a large one
};

std::vector<Form> all_forms() {
  const auto groups = [](int bits) {
    return [bits](const Tensor& weight, bool second) {
      const Tensor rows = rows_of(weight, second);
      const auto codes = round_groups(rows, {bits, rows.size(1) % 64 == 0 ? 64 : -1, false});
      StoredTensor made = taken(store_groups(*codes, {weight.sizes().vec(), second}));
      EXPECT_TRUE(torch::equal(rows_of(made.values, second), float_values(*codes)));
      return made;
    };
  };
  const auto rows8 = [](RowScales scales) {
    return [scales](const Tensor& weight, bool second) {
      const auto codes = round_rows_int8(rows_of(weight, second));
      StoredTensor made = taken(store_rows(*codes, {weight.sizes().vec(), second}, scales));
      const Tensor values = rows_of(made.values, second);
      const bool exact = scales == RowScales::float32;
      EXPECT_TRUE(torch::allclose(values, float_values(*codes), exact ? 0 : 1e-3, 0));
      return made;
    };
  };
  const auto normal = [](bool twice) {
    return [twice](const Tensor& weight, bool second) {
      const auto codes = nf4(rows_of(weight, second), {.double_quantization = twice});
      StoredTensor made = taken(store_nf4(*codes, {weight.sizes().vec(), second}));
      EXPECT_TRUE(torch::equal(rows_of(made.values, second), float_values(*codes)));
      return made;
    };
  };
  const auto chosen = [](bool by_awq) {
    return [by_awq](const Tensor& weight, bool second) {
      const Tensor rows = rows_of(weight, second);
      LayerInputs inputs(rows.size(1));
      EXPECT_THAT(inputs.add(torch::matmul(random_tensor({64, 4}, 7), random_tensor({4, rows.size(1)}, 8)) *
                             torch::exp(random_tensor({rows.size(1)}, 9))),
                  IsOk());
      const GroupOptions options{4, rows.size(1) % 64 == 0 ? 64 : -1, false};
      const auto made = by_awq ? awq(rows, inputs.hessian(), inputs.mean_abs(), options)
                               : gptq(rows, inputs.hessian(), {.groups = options, .activation_order = true});
      StoredTensor kept = taken(store_groups(made->codes, {weight.sizes().vec(), second}));
      EXPECT_TRUE(torch::equal(rows_of(kept.values, second), float_values(made->codes)));
      return kept;
    };
  };
  return {{"fp16", [](const Tensor& weight, bool) { return taken(store_fp16(weight)); }, 16},
          {"bf16", [](const Tensor& weight, bool) { return taken(store_bf16(weight)); }, 16},
          {"int8", rows8(RowScales::float32), 8.07},
          {"int8 by halves", rows8(RowScales::float16), 8.04},
          {"int4", groups(4), 4.51},
          {"int3", groups(3), 4.51},
          {"int2", groups(2), 2.51},
          {"nf4", normal(true), 4.17},
          {"nf4 once", normal(false), 4.51},
          {"gptq", chosen(false), 4.6},
          {"awq", chosen(true), 4.6}};
}

TEST(Storage, gives_the_same_bits_in_memory_and_from_every_file) {
  models::prepare_engine();
  struct Case {
    Shape weight;
    Shape input;
    std::string call;
    bool rows_second = false;
  };
  const std::vector<Case> cases = {
      {{24, 128}, {2, 128}, "torch.linear(x, self.weight, None)"},
      {{1, 37}, {3, 37}, "torch.linear(x, self.weight, None)"},
      {{5, 1}, {3, 1}, "torch.linear(x, self.weight, None)"},
      {{6, 3, 3, 3}, {1, 3, 8, 8}, "torch.conv2d(x, self.weight, None, [2, 2], [1, 1], [1, 1], 1)"},
      {{4, 6, 2, 2}, {1, 4, 5, 5}, "torch.conv_transpose2d(x, self.weight, None, [2, 2])", true},
  };
  const auto forms = all_forms();
  for (std::size_t i = 0; i < forms.size(); ++i) {
    const Form& form = forms[i];
    for (std::size_t j = 0; j < cases.size(); ++j) {
      const Case& one = cases[j];
      if (j > 0 && (i + j) % 3 != 0) continue;  // each form with some, each case with some
      SCOPED_TRACE(std::string(form.name) + " of " + one.call);
      const Module layer = layer_with(random_tensor(one.weight), Tensor(), one.call);
      const StoredTensor kept = form.of(layer.attr("weight").toTensor(), one.rows_second);
      const Module made = with_stored(layer, {{"weight", kept}});
      const Tensor input = random_tensor(one.input, 3);
      expect_same_everywhere(made, input);
      Module plain = layer.deepcopy();
      plain.setattr("weight", kept.values);
      EXPECT_TRUE(torch::equal(answer_of(made, input), answer_of(plain, input)));
    }
  }
}

TEST(Storage, takes_the_bits_that_it_says) {
  const Tensor weight = random_tensor({512, 512});
  for (const Form& form : all_forms()) {
    if (form.bits == 4.6) continue;
    const StoredTensor kept = form.of(weight, false);
    EXPECT_LE(kept.bytes * 8.0 / static_cast<double>(weight.numel()), form.bits) << form.name;
  }
  // .134 of float32 in groups of 128.
  const auto codes = round_groups(weight, {.group = 128});
  EXPECT_LE(taken(store_groups(*codes, {{512, 512}})).bytes, 0.134 * 4 * 512 * 512);
}

TEST(Storage, has_its_program_once_in_a_file) {
  std::int64_t kept_bytes = 0;
  const auto bytes_of = [&](int layers) {
    Module whole("__torch__.outcrop.Whole", std::make_shared<torch::jit::CompilationUnit>(), true);
    std::string source = "def forward(self, x):\n";
    for (int i = 0; i < layers; ++i) {
      const std::string name = "layer" + std::to_string(i);
      const Tensor weight = random_tensor({64, 64}, i);
      const Module layer = layer_with(weight, Tensor(), "torch.linear(x, self.weight, None)");
      const StoredTensor kept = taken(store_nf4(*nf4(weight), {{64, 64}}));
      kept_bytes = kept.bytes;
      whole.register_module(name, with_stored(layer, {{"weight", kept}}));
      source += "    x = self." + name + ".forward(x)\n";
    }
    whole.define(source + "    return x\n");
    return static_cast<std::int64_t>(saved_for_boards(whole).size());
  };
  const auto more = (bytes_of(12) - bytes_of(2)) / 10 - kept_bytes;
  RecordProperty("program", std::to_string(bytes_of(1) - kept_bytes));
  RecordProperty("layer", std::to_string(more));
  EXPECT_LT(more, 1'000);  // without the map of 1 kB, which there is once
}

TEST(Storage, keeps_small_and_large_weights) {
  for (const double size : {1e-30, 1e-7, 1e5, 1e30}) {
    Tensor weight = random_tensor({8, 64}) * size;
    weight[3] = 0;
    for (const Form& form : all_forms()) {
      const StoredTensor kept = form.of(weight, false);
      EXPECT_TRUE(torch::isfinite(kept.values).all().item<bool>()) << form.name << size;
      const Tensor wide = weight.to(torch::kDouble);
      const double off = ((kept.values.to(torch::kDouble) - wide).norm() / wide.norm()).item<double>();
      EXPECT_LT(off, std::string(form.name) == "int2" ? 0.6 : 0.45) << form.name << size;
    }
  }
  const StoredTensor zeros = taken(store_fp16(torch::zeros({2, 2})));
  EXPECT_TRUE(torch::equal(zeros.values, torch::zeros({2, 2})));
}

TEST(Storage, replaces_some_of_many_parameters_and_keeps_what_else_there_is) {
  Module layer("__torch__.outcrop.Recurrent", std::make_shared<torch::jit::CompilationUnit>(), true);
  layer.register_parameter("w_ih_l0", random_tensor({16, 64}), false);
  layer.register_parameter("w_hh_l0", random_tensor({16, 16}, 2), false);
  layer.register_parameter("b_ih_l0", random_tensor({16}, 3), false);
  layer.register_buffer("state", random_tensor({16}, 4));
  layer.register_attribute("bias", c10::NoneType::get(), c10::IValue());
  layer.register_attribute("training", c10::BoolType::get(), false);
  layer.register_attribute("sizes", c10::ListType::ofInts(), std::vector<std::int64_t>{1, 2});
  layer.register_attribute("slope", c10::FloatType::get(), 0.25);
  layer.define(R"(
def step(self, x, times: int = 2):
    return torch.tanh(torch.linear(x, self.w_ih_l0, self.b_ih_l0) * times)
def forward(self, x):
    y = self.step(x)
    for i in range(self.sizes[1]):
        y = torch.tanh(torch.linear(y, self.w_hh_l0, self.state)) + self.slope * y
    return y
)");
  const Tensor input = random_tensor({3, 64}, 5);
  const StoredTensor wide = taken(store_groups(*round_groups(rows_of(layer.attr("w_ih_l0").toTensor()), {.group = 64}),
                                               {{16, 64}}));
  const StoredTensor square = taken(store_fp16(layer.attr("w_hh_l0").toTensor()));
  const Module made = with_stored(layer, {{"w_ih_l0", wide}, {"w_hh_l0", square}});
  expect_same_everywhere(made, input);
  Module plain = layer.deepcopy();
  plain.setattr("w_ih_l0", wide.values);
  plain.setattr("w_hh_l0", square.values);
  EXPECT_TRUE(torch::equal(answer_of(made, input), answer_of(plain, input)));
  Module again = loaded(saved_plainly(made));
  EXPECT_EQ(again.named_parameters().size(), 3);
  EXPECT_EQ(again.attr("slope").toDouble(), 0.25);
  EXPECT_TRUE(torch::equal(again.run_method("step", input).toTensor(), made.deepcopy().run_method("step", input).toTensor()));
}

TEST(Storage, holds_no_codes_where_they_were_dropped_and_says_so_when_saved) {
  Module layer = linear_layer({8, 64});
  const StoredTensor kept = taken(store_nf4(*nf4(layer.attr("weight").toTensor()), {{8, 64}}));
  Module whole("__torch__.outcrop.Whole", std::make_shared<torch::jit::CompilationUnit>(), true);
  whole.register_module("layer", with_stored(layer, {{"weight", kept}}));
  whole.define("def forward(self, x):\n    return self.layer.forward(x)\n");
  const Tensor input = random_tensor({2, 64}, 5);
  const Tensor here = answer_of(whole, input);
  expect_same_everywhere(whole, input);
  drop_codes_at_load(whole);
  Module again = loaded(saved_plainly(whole));
  EXPECT_EQ(again.attr("layer").toModule().attr("weight").toModule().attr("parts").toTensorVector().size(), 0);
  EXPECT_TRUE(torch::equal(answer_of(again, input), here));
  EXPECT_TRUE(torch::equal(answer_on_a_board(saved_for_boards(whole), input), here));
  try {
    (void)saved_plainly(again);
    ADD_FAILURE() << "it was saved without weights";
  } catch (const std::exception& error) {
    EXPECT_THAT(error.what(), HasSubstr("dropped at load"));
  }
}

TEST(Storage, lists_the_operators_that_loading_runs) {
  Module layer = linear_layer({8, 64});
  const auto operators = [&](const StoredTensor& kept) {
    const std::string bytes = saved_for_boards(with_stored(layer, {{"weight", kept}}));
    const auto found = runtime::inspect_torch_model(as_bytes(bytes));
    return found ? found->operators : std::vector<std::string>{};
  };
  const Tensor weight = layer.attr("weight").toTensor();
  const auto groups = operators(taken(store_groups(*round_groups(weight, {.group = 64}), {{8, 64}})));
  EXPECT_THAT(groups, Contains("quantized::embedding_bag_4bit_unpack"));
  EXPECT_THAT(groups, Contains("aten::linear"));
  const auto normal = operators(taken(store_nf4(*nf4(weight), {{8, 64}})));
  EXPECT_THAT(normal, Contains(HasSubstr("index_select")));
  std::string all;
  for (const auto& list : {groups, normal}) {
    for (const std::string& name : list) all += name + " ";
    all += "| ";
  }
  RecordProperty("operators", all);
}

TEST(Storage, runs_linear_layers_in_int8) {
  models::prepare_engine();
  bool has_bias = false;
  for (const Form& form : all_forms()) {
    if (std::set<std::string>{"int8 by halves", "int3", "nf4 once", "awq"}.contains(form.name)) continue;
    has_bias = !has_bias;
    SCOPED_TRACE(form.name);
    const Module layer = linear_layer({24, 128}, has_bias);
    const StoredTensor kept = form.of(layer.attr("weight").toTensor(), false);
    const Module made = with_stored_as_int8_dynamic(layer, kept);
    const Tensor input = random_tensor({4, 128}, 3);
    expect_same_everywhere(made, input);
    const Tensor exact = answer_of(with_stored(layer, {{"weight", kept}}), input);
    EXPECT_LT(((answer_of(made, input) - exact).norm() / exact.norm()).item<float>(), 0.02);
    EXPECT_FALSE(made.attr("weight").toModule().hasattr("values"));
  }
}

TEST(Storage, runs_linear_layers_in_4_bits) {
  models::prepare_engine();
  for (const bool has_bias : {false, true}) {
    const Module layer = linear_layer({24, 128}, has_bias);
    const auto codes = round_groups(layer.attr("weight").toTensor(), {.group = 64});
    const StoredTensor kept = taken(store_groups(*codes, {{24, 128}}));
    const Module made = with_stored_as_int4(layer, kept);
    const Tensor input = random_tensor({2, 3, 128}, 3);
    expect_same_everywhere(made, input);
    const Tensor exact = answer_of(with_stored(layer, {{"weight", kept}}), input);
    EXPECT_LT(((answer_of(made, input) - exact).norm() / exact.norm()).item<float>(), 0.02);
  }
}

TEST(Storage, refuses_what_it_cannot_keep) {
  const Module layer = linear_layer({8, 64});
  const StoredTensor kept = taken(store_fp16(random_tensor({8, 64})));
  const auto says = [](const auto& call, const std::string& words) {
    try {
      call();
      ADD_FAILURE() << "nothing was refused";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(words));
    }
  };
  says([&] { (void)with_stored(layer, {{"wieght", kept}}); }, "no parameter 'wieght'");
  says([&] { (void)with_stored(layer, {{"bias", kept}}); }, "'bias' is [8]");
  says([&] { (void)with_stored(with_stored(layer, {{"weight", kept}}), {{"weight", kept}}); }, "no parameter 'weight'");
  Module changing = linear_layer({8, 64});
  changing.define("def grow(self):\n    self.weight = self.weight * 2\n");
  says([&] { (void)with_stored(changing, {{"weight", kept}}); }, "it changes 'weight'");
  const Module convolution = layer_with(random_tensor({6, 3, 3, 3}), Tensor(), "torch.conv2d(x, self.weight, None)");
  says([&] { (void)with_stored_as_int8_dynamic(convolution, kept); }, "not a linear layer alone");
  says([&] { (void)with_modules(layer, {{"inner", layer}}); }, "no layer or tensor 'inner'");
  EXPECT_THAT(store_groups(*round_groups(random_tensor({2, 8}), {.bits = 8, .group = 8}), {{2, 8}}),
              ErrorIs(ErrorCode::unsupported, HasSubstr("not 8")));
  EXPECT_THAT(store_rows(*round_rows_int8(random_tensor({2, 8})), {{8, 2}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("2 rows and 8 columns")));
}

TEST(WithModules, answers_as_the_whole_does_with_other_layers) {
  Module first = linear_layer({64, 16}), second = linear_layer({4, 64});
  Module whole("__torch__.outcrop.Whole", std::make_shared<torch::jit::CompilationUnit>(), true);
  whole.register_module("first", first);
  whole.register_module("second", second);
  whole.register_attribute("times", c10::IntType::get(), 3);
  whole.define(
      "def forward(self, x):\n    y = self.first.forward(x)\n    if self.times > 2:\n        y = torch.relu(y)\n"
      "    return self.second.forward(y)\n");
  const StoredTensor kept = taken(store_rows(*round_rows_int8(second.attr("weight").toTensor()), {{4, 64}}));
  const Module made = with_modules(whole, {{"second", with_stored(second, {{"weight", kept}})}});
  const Tensor input = random_tensor({3, 16}, 5);
  expect_same_everywhere(made, input);
  Module plain = whole.deepcopy();
  plain.attr("second").toModule().setattr("weight", kept.values);
  EXPECT_TRUE(torch::equal(answer_of(made, input), answer_of(plain, input)));
}

}  // namespace
}  // namespace outcrop::quantize
