#include <gmock/gmock.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "runtime/engine/torch/int4/int4_product.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::ElementsAreArray;
using ::testing::Each;
using ::testing::IsNan;

// A matrix in 4 bits as files hold it, and what it is in float32.
struct Matrix {
  at::Tensor groups;  // uint8 [rows · groups in a row, group bytes]
  at::Tensor values;  // float64 [rows, columns]
  std::int64_t group;
};

Matrix random_matrix(std::int64_t rows, std::int64_t columns, std::int64_t group) {
  const auto count = rows * columns / group;
  const at::Tensor codes = at::randint(0, 16, {count, group}, at::kByte);
  const at::Tensor scales = (at::rand({count, 1}) * 0.01 + 0.001).to(at::kHalf);
  const at::Tensor minimums = (at::rand({count, 1}) * -0.08).to(at::kHalf);
  const at::Tensor pairs = codes.reshape({count, group / 2, 2});
  const at::Tensor bytes = pairs.select(2, 0).bitwise_or(pairs.select(2, 1) * 16);
  const at::Tensor halves = at::cat({scales, minimums}, 1).contiguous().view(at::kByte);
  const at::Tensor values = codes.to(at::kDouble) * scales.to(at::kDouble) + minimums.to(at::kDouble);
  return {at::cat({bytes, halves}, 1).contiguous(), values.reshape({rows, columns}), group};
}

std::vector<float> products_at(const Int4Level& level, const Matrix& matrix, const at::Tensor& x, float unit = 1) {
  const Int4Vector vector(x.data_ptr<float>(), static_cast<std::size_t>(x.numel()), static_cast<std::size_t>(matrix.group));
  const auto rows = static_cast<std::size_t>(matrix.values.size(0));
  std::vector<float> products(rows);
  level.multiply(vector.times(matrix.groups.data_ptr<std::uint8_t>(), rows, unit, products.data()));
  return products;
}

at::Tensor linear_int4(const at::Tensor& x, const at::Tensor& groups, std::int64_t columns, std::int64_t group, double unit) {
  register_int4_operator();
  std::vector<c10::IValue> stack{x, groups, columns, group, unit};
  c10::Dispatcher::singleton().findSchemaOrThrow(int4_operator, "").callBoxed(&stack);
  return stack.at(0).toTensor();
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

TEST(Int4Product, every_level_answers_the_same_bits) {
  at::manual_seed(1);
  for (const std::int64_t group : {2, 8, 32, 48, 64, 128, 320, 1024}) {
    const Matrix matrix = random_matrix(7, 3 * group, group);
    const at::Tensor x = at::randn({3 * group});
    const auto wanted = bits_of(products_at(int4_levels().front(), matrix, x, 0.25F));
    for (const Int4Level& level : int4_levels()) {
      EXPECT_THAT(bits_of(products_at(level, matrix, x, 0.25F)), ElementsAreArray(wanted)) << level.name << ", " << group;
    }
  }
}

TEST(Int4Product, extremes_do_not_leave_their_integers) {
  Matrix matrix = random_matrix(3, 128, 128);
  matrix.groups.slice(1, 0, 64).fill_(255);
  for (const float sign : {-1.0F, 1.0F}) {
    const at::Tensor x = at::full({128}, sign * 3.0F);
    const auto wanted = bits_of(products_at(int4_levels().front(), matrix, x));
    for (const Int4Level& level : int4_levels()) {
      EXPECT_THAT(bits_of(products_at(level, matrix, x)), ElementsAreArray(wanted)) << level.name;
    }
    const at::Tensor scales = matrix.groups.slice(1, 64).contiguous().view(at::kHalf).to(at::kDouble);
    const double expected = (15 * scales[0][0].item<double>() + scales[0][1].item<double>()) * sign * 3 * 128;
    EXPECT_NEAR(products_at(int4_levels().back(), matrix, x).front(), expected, 1e-4 * std::abs(expected));
  }
}

TEST(Int4Product, float16_of_every_pattern_is_read_alike) {
  Matrix matrix = random_matrix(65536, 2, 2);
  std::uint8_t* bytes = matrix.groups.data_ptr<std::uint8_t>();
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const auto half = static_cast<std::uint16_t>(pattern);
    bytes[5 * pattern] = 0x21;
    std::memcpy(bytes + 5 * pattern + 1, &half, 2);
    std::memset(bytes + 5 * pattern + 3, 0, 2);
  }
  const at::Tensor x = at::ones({2});
  const auto wanted = products_at(int4_levels().front(), matrix, x);
  for (const Int4Level& level : int4_levels()) {
    const auto products = products_at(level, matrix, x);
    for (std::size_t i = 0; i < products.size(); ++i) {
      if (std::isnan(wanted[i])) {
        ASSERT_TRUE(std::isnan(products[i])) << level.name << ", " << i;
      } else {
        ASSERT_EQ(products[i], wanted[i]) << level.name << ", " << i;
      }
    }
  }
}

TEST(LinearInt4, is_the_product_but_for_the_input_in_int8) {
  at::manual_seed(2);
  const Matrix matrix = random_matrix(300, 640, 128);
  const at::Tensor x = at::randn({2, 3, 640});
  const at::Tensor answered = linear_int4(x, matrix.groups, 640, 128, 1.0);
  const at::Tensor wanted = at::matmul(x.to(at::kDouble), matrix.values.t());
  EXPECT_EQ(answered.sizes().vec(), (std::vector<std::int64_t>{2, 3, 300}));
  EXPECT_LT((answered - wanted).norm().item<double>(), 0.01 * wanted.norm().item<double>());
  EXPECT_GT((answered - wanted).abs().max().item<double>(), 0);
}

TEST(LinearInt4, what_is_no_number_stays_none) {
  const Matrix matrix = random_matrix(5, 256, 128);
  for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor x = at::zeros({256});
    x[130] = wrong;
    const at::Tensor answered = linear_int4(x, matrix.groups, 256, 128, 1.0);
    for (std::int64_t row = 0; row < 5; ++row) EXPECT_TRUE(std::isnan(answered[row].item<float>()));
  }
  EXPECT_EQ(linear_int4(at::full({256}, 1e-38F), matrix.groups, 256, 128, 1.0).abs().max().item<float>(), 0);
}

// A file says what it wants: nothing is read or written outside of its tensors.
TEST(LinearInt4, refuses_what_does_not_fit_together) {
  const Matrix matrix = random_matrix(4, 256, 128);
  const at::Tensor x = at::zeros({1, 256});
  const auto refused = [&](const at::Tensor& input, const at::Tensor& groups, std::int64_t columns, std::int64_t group) {
    EXPECT_THROW((void)linear_int4(input, groups, columns, group, 1.0), c10::Error) << columns << " " << group;
  };
  refused(at::zeros({1, 128}), matrix.groups, 256, 128);
  refused(x.to(at::kDouble), matrix.groups, 256, 128);
  refused(at::zeros({}), matrix.groups, 256, 128);
  refused(x, matrix.groups.to(at::kInt), 256, 128);
  refused(x, matrix.groups.slice(0, 0, 3), 256, 128);
  refused(x, matrix.groups.slice(1, 0, 67), 256, 128);
  refused(x, matrix.groups.t(), 256, 128);
  refused(x, matrix.groups.reshape({-1}), 256, 128);
  for (const std::int64_t group : {0, -128, 1, 3, 127, 512, 1 << 20}) refused(x, matrix.groups, 256, group);
  for (const std::int64_t columns : {0, -256, 255, 1 << 30}) refused(x, matrix.groups, columns, 128);
}

}  // namespace
}  // namespace outcrop::runtime
