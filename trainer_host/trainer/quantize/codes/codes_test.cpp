#include <torch/script.h>

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/quantize/codes/awq.hpp"
#include "trainer_host/trainer/quantize/codes/gptq.hpp"
#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/nf4.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"
#include "trainer_host/trainer/quantize/codes/round_rows_int8.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::Tensor;

// These tensors are small: threads would wait for each other, and for those of tests beside this one.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

Tensor drawn(at::IntArrayRef shape, std::uint64_t seed = 1) {
  return torch::randn(shape, at::detail::createCPUGenerator(seed));
}

// In float64, where squares of 1e-30 are not 0.
double relative_error(const Tensor& values, const Tensor& exact) {
  const Tensor wide = exact.to(torch::kDouble);
  return ((values.to(torch::kDouble) - wide).norm() / wide.norm()).item<double>();
}

// Inputs that are related, some of them large: where rounding by itself is far from the best.
LayerInputs related_inputs(std::int64_t columns) {
  const Tensor spread = torch::exp(drawn({columns}, 2));
  LayerInputs inputs(columns);
  EXPECT_THAT(inputs.add((torch::matmul(drawn({200, 8}, 3), drawn({8, columns}, 4)) + drawn({200, columns}, 5) * .3) * spread),
              IsOk());
  return inputs;
}

TEST(RoundRowsInt8, is_off_by_half_a_step_at_most) {
  Tensor weight = drawn({5, 7});
  weight[2] = 0;
  weight[3] *= 1e-30;
  const auto made = round_rows_int8(weight);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->codes.abs().amax().item<int>(), 127);
  EXPECT_TRUE(((float_values(*made) - weight).abs() <= made->scales.unsqueeze(1) * .5001).all().item<bool>());
  EXPECT_EQ(float_values(*made)[2].abs().max().item<float>(), 0);
  EXPECT_EQ(made->codes[3].abs().max().item<int>(), 127);
}

TEST(RoundRowsInt8, takes_one_row_or_one_column_and_weights_too_small_for_a_scale) {
  for (const Tensor& weight : {drawn({1, 9}), drawn({9, 1}), torch::full({2, 2}, 1e-44f)}) {
    const auto made = round_rows_int8(weight);
    ASSERT_THAT(made, IsOk());
    EXPECT_TRUE(torch::allclose(float_values(*made), weight, 0.01, 0.02));
  }
}

TEST(Weights, that_are_not_finite_or_of_another_shape_are_refused) {
  Tensor weight = drawn({4, 4});
  weight[1][1] = std::numeric_limits<float>::quiet_NaN();
  const auto says = ErrorIs(ErrorCode::invalid_argument, HasSubstr("1 of 16 weights"));
  EXPECT_THAT(round_rows_int8(weight), says);
  EXPECT_THAT(round_groups(weight, {.group = 4}), says);
  EXPECT_THAT(nf4(weight), says);
  EXPECT_THAT(gptq(weight, torch::eye(4), {.groups = {.group = 4}}), says);
  EXPECT_THAT(round_rows_int8(drawn({4})), ErrorIs(ErrorCode::invalid_argument, HasSubstr("[rows, columns]")));
  EXPECT_THAT(nf4(torch::empty({0, 3})), ErrorIs(ErrorCode::invalid_argument, HasSubstr("not empty")));
}

TEST(RoundGroups, is_off_by_half_a_step_of_its_group) {
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      const Tensor weight = drawn({6, 32});
      const auto made = round_groups(weight, {bits, 8, symmetric});
      ASSERT_THAT(made, IsOk());
      EXPECT_LT(made->codes.max().item<int>(), 1 << bits);
      const Tensor steps = made->scales.repeat_interleave(8, 1);
      // Symmetric, the largest may be a whole step off: codes reach one less above than below. Of 255
      // steps, what float16 rounds is a tenth of one.
      const double most = (symmetric ? 1.01 : .51) + (bits == 8 ? .1 : 0);
      EXPECT_TRUE(((float_values(*made) - weight).abs() <= steps * most).all().item<bool>())
          << bits;
      EXPECT_FALSE(made->order.defined() || made->column_scales.defined());
    }
  }
}

TEST(RoundGroups, names_both_numbers_where_columns_do_not_divide) {
  EXPECT_THAT(round_groups(drawn({2, 100}), {.group = 64}),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("100 columns"), HasSubstr("groups of 64"))));
  EXPECT_THAT(round_groups(drawn({2, 100}), {.group = -1}), IsOk());
  EXPECT_THAT(round_groups(drawn({2, 100}), {.group = 0}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("of 0")));
  EXPECT_THAT(round_groups(drawn({2, 4}), {.bits = 9, .group = 4}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("not 9")));
}

TEST(RoundGroups, keeps_digits_of_tiny_weights_and_zeros_of_zeros) {
  for (const double size : {1e-30, 1e-6, 1e30}) {
    Tensor weight = drawn({4, 16}) * size;
    weight[1] = 0;
    weight[2].narrow(0, 0, 8) = 0;
    const auto made = round_groups(weight, {.group = 8});
    ASSERT_THAT(made, IsOk());
    const Tensor values = float_values(*made);
    EXPECT_LT(relative_error(values, weight), 0.09) << size;
    EXPECT_EQ(values[1].abs().max().item<float>(), 0);
    EXPECT_EQ(values[2].narrow(0, 0, 8).abs().max().item<float>(), 0);
  }
}

TEST(Nf4, has_the_published_error_on_normal_weights) {
  // bitsandbytes' own test: 1024 x 1024 drawn 20 times, .072798 ± .000074.
  const Tensor weight = drawn({1024, 1024});
  for (const bool twice : {false, true}) {
    const auto made = nf4(weight, {.double_quantization = twice});
    ASSERT_THAT(made, IsOk());
    const double error = (float_values(*made) - weight).abs().mean().item<double>();
    RecordProperty(twice ? "double" : "single", std::to_string(error));
    EXPECT_NEAR(error, 0.072798, 7 * 0.000074) << twice;
  }
}

TEST(Nf4, takes_any_count_of_weights) {
  for (const auto& shape : {std::vector<std::int64_t>{1, 1}, {1, 63}, {3, 43}, {64, 1}}) {
    const Tensor weight = drawn(shape) * 1e-30;
    const auto made = nf4(weight);
    ASSERT_THAT(made, IsOk());
    EXPECT_LT(relative_error(float_values(*made), weight), 0.15);
  }
  const auto nothing = nf4(torch::zeros({2, 64}));
  ASSERT_THAT(nothing, IsOk());
  EXPECT_EQ(float_values(*nothing).abs().max().item<float>(), 0);
  EXPECT_THAT(nf4(drawn({2, 2}), {.block = 7}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("not 7")));
}

TEST(LayerInputs, are_the_same_in_one_piece_and_in_many) {
  const Tensor all = drawn({100, 6});
  LayerInputs whole(6), pieces(6);
  ASSERT_THAT(whole.add(all), IsOk());
  for (const Tensor& piece : all.split(7)) ASSERT_THAT(pieces.add(piece), IsOk());
  EXPECT_TRUE(torch::allclose(whole.hessian(), torch::matmul(all.t(), all) * (2.0 / 100), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(whole.hessian(), pieces.hessian(), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(pieces.mean_abs(), all.abs().mean(0)));
  EXPECT_EQ(pieces.count(), 100);
}

TEST(LayerInputs, that_are_not_finite_or_of_another_shape_are_refused) {
  LayerInputs inputs(3);
  EXPECT_THAT(inputs.add(drawn({2, 4})), ErrorIs(ErrorCode::invalid_argument, HasSubstr("[n, 3]")));
  EXPECT_THAT(inputs.add(torch::full({2, 3}, std::numeric_limits<float>::infinity())),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("infinite")));
  EXPECT_EQ(inputs.count(), 0);
  EXPECT_EQ(inputs.mean_abs().abs().max().item<float>(), 0);
}

TEST(OutputError, is_that_of_the_outputs) {
  const Tensor inputs = drawn({50, 6}), difference = drawn({4, 6}, 2);
  LayerInputs seen(6);
  ASSERT_THAT(seen.add(inputs), IsOk());
  const double outputs = 2 * torch::matmul(inputs, difference.t()).square().mean(0).sum().item<double>();
  EXPECT_NEAR(output_error(difference, seen.hessian()), outputs, outputs * 1e-5);
}

TEST(Gptq, is_better_than_rounding_where_inputs_are_related) {
  const LayerInputs inputs = related_inputs(160);
  const Tensor weight = drawn({24, 160});
  for (const bool ordered : {false, true}) {
    const auto made = gptq(weight, inputs.hessian(), {.groups = {.group = 32}, .activation_order = ordered});
    ASSERT_THAT(made, IsOk());
    EXPECT_LT(made->error, 0.6 * made->rounding_error) << ordered;
    const double measured = output_error(float_values(made->codes) - weight, inputs.hessian());
    EXPECT_NEAR(measured, made->error, made->error * 1e-6);
  }
}

TEST(Gptq, keeps_rounding_where_that_is_no_worse) {
  // Inputs that have nothing to do with each other: nothing can be made up for.
  const Tensor weight = drawn({8, 32});
  const auto made = gptq(weight, torch::eye(32), {.groups = {.group = 8}});
  ASSERT_THAT(made, IsOk());
  EXPECT_TRUE(made->rounding_kept);
  EXPECT_EQ(made->error, made->rounding_error);
  const auto rounding = round_groups(weight, {.group = 8});
  EXPECT_TRUE(torch::equal(float_values(made->codes), float_values(*rounding)));
}

TEST(Gptq, is_never_above_rounding_with_few_inputs_or_none) {
  const Tensor weight = drawn({8, 48});
  LayerInputs one(48), none(48);
  ASSERT_THAT(one.add(drawn({1, 48}, 9)), IsOk());
  for (const LayerInputs* inputs : {&one, &none}) {
    const auto made = gptq(weight, inputs->hessian(), {.groups = {.group = 16}});
    ASSERT_THAT(made, IsOk());
    EXPECT_LE(made->error, made->rounding_error);
  }
}

TEST(Gptq, refuses_what_makes_no_sense) {
  const Tensor weight = drawn({8, 32});
  EXPECT_THAT(gptq(weight, torch::eye(31), {.groups = {.group = 8}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("32 columns")));
  EXPECT_THAT(gptq(weight, torch::eye(32), {.groups = {.group = 8}, .damping = 0}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("damping")));
  EXPECT_THAT(gptq(weight, -torch::eye(32), {.groups = {.group = 8}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("no Cholesky factor")));
}

TEST(Awq, is_never_above_rounding) {
  const LayerInputs inputs = related_inputs(96);
  for (const double size : {1e-30, 1.0}) {  // at 1e-30 its own scales end at 1e-5
    const Tensor weight = drawn({16, 96}) * size;
    const auto made = awq(weight, inputs.hessian(), inputs.mean_abs(), {.group = 32});
    ASSERT_THAT(made, IsOk());
    EXPECT_LE(made->error, made->rounding_error);
    EXPECT_EQ(made->rounding_kept, size < 1);
    EXPECT_EQ(made->codes.column_scales.defined(), size == 1);
  }
  // A value that stands out of its group costs all others theirs.
  Tensor spread = drawn({16, 96});
  spread.select(1, 7).mul_(6.0);
  const auto whole = awq(spread, inputs.hessian(), inputs.mean_abs(), {.group = 32}, UnseenInputs::rounded, AwqClip::never);
  const auto cut = awq(spread, inputs.hessian(), inputs.mean_abs(), {.group = 32});
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(cut, IsOk());
  EXPECT_LT(cut->error, 0.95 * whole->error);
  EXPECT_TRUE(torch::equal(cut->codes.column_scales, whole->codes.column_scales));
  EXPECT_THAT(awq(drawn({2, 96}), inputs.hessian(), inputs.mean_abs(), {.group = 32, .symmetric = true}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("zero point")));
}

}  // namespace
}  // namespace outcrop::quantize
