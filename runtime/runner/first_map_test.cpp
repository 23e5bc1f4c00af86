#include "runtime/runner/first_map.hpp"

#include <gmock/gmock.h>

#include <limits>
#include <numeric>

#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

messages::Output output_of(std::vector<messages::Dimension> shape, const std::string& dtype = "float32",
                           messages::Score score = messages::Score::absolute) {
  return {"out", messages::TensorType{dtype, std::move(shape), "m/s", {}}, score};
}

Tensor floats(std::vector<std::int64_t> shape) {
  std::vector<float> values(static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())));
  std::iota(values.begin(), values.end(), 0.0F);
  return Tensor::of_floats("out", std::move(shape), values);
}

TEST(FirstMap, is_the_first_of_all_that_an_output_holds) {
  const auto map = first_map(output_of({"batch", 2, 2, 3}), floats({2, 2, 2, 3}));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->values, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_FALSE(map->is_whole());
  EXPECT_TRUE(first_map(output_of({"batch", 1, 2, 3}), floats({1, 1, 2, 3}))->is_whole());
  EXPECT_THAT(first_map(output_of({2, 2}), floats({2, 2}))->values, ElementsAre(0, 1, 2, 3));
}

TEST(FirstMap, of_many_rows_has_some_of_them) {
  const auto map = first_map(output_of({"batch", 300, 2}), floats({1, 300, 2}));
  ASSERT_THAT(map, IsOk());
  EXPECT_EQ(map->grid, (messages::Grid{100, 2, 3, 1}));
  EXPECT_EQ(map->values[2], 6) << "the fourth row";
  EXPECT_EQ(map->values.size(), 200U);
  EXPECT_FALSE(map->is_whole());
}

TEST(FirstMap, of_classes_is_of_the_answers) {
  const std::vector<float> shares{.1F, .7F, .2F, .9F, .1F, 0, 0, .1F, .9F, .3F, .4F, .3F};
  const auto map = first_map(output_of({"batch", 2, 2, 3}, "float32", messages::Score::label),
                             Tensor::of_floats("out", {1, 2, 2, 3}, shares));
  ASSERT_THAT(map, IsOk());
  EXPECT_THAT(map->values, ElementsAre(1, 0, 2, 1));
  EXPECT_THAT(map->shape, ElementsAre(1, 2, 2));
  const std::vector<std::int64_t> answers{3, 1, 0, 2};
  EXPECT_THAT(first_map(output_of({"batch", 2, 2}, "int64", messages::Score::label),
                        Tensor::of_integers("out", {1, 2, 2}, answers))->values,
              ElementsAre(3, 1, 0, 2));
}

TEST(FirstMap, is_none_of_scores_of_one_row_or_of_what_is_no_number) {
  const auto none = [](const messages::Output& output, const Tensor& tensor) {
    EXPECT_THAT(first_map(output, tensor), ErrorIs(ErrorCode::unsupported, HasSubstr("draws no picture: its first output, 'out', is float32")));
  };
  none(output_of({"batch", 10}, "float32", messages::Score::label), floats({16, 10}));
  none(output_of({"batch", 10}), floats({16, 10}));
  none(output_of({"batch", 1, 10}), floats({4, 1, 10}));
  none(output_of({10}), floats({10}));
  none(output_of({}), floats({}));
  none(output_of({"batch", 2, 2}), floats({0, 2, 2}));
  const std::vector<float> values{1, 2, std::numeric_limits<float>::quiet_NaN(), 4};
  EXPECT_THAT(first_map(output_of({2, 2}), Tensor::of_floats("out", {2, 2}, values)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not finite, in row 1")));
}

TEST(FirstMap, is_drawn_from_black_to_white) {
  const auto map = first_map(output_of({2, 2}), Tensor::of_floats("out", {2, 2}, std::vector<float>{-10, 0, 10, 30}));
  const auto drawn = draw("out", *map);
  EXPECT_EQ(drawn.gray, std::string("\x00\x40\x80\xff", 4));
  EXPECT_EQ(drawn.min, -10);
  EXPECT_EQ(drawn.max, 30);
  const auto flat = draw("out", *first_map(output_of({2, 2}), Tensor::of_floats("out", {2, 2}, std::vector<float>(4, 7))));
  EXPECT_EQ(flat.gray, std::string(4, '\0'));
  EXPECT_EQ(flat.value(3), 7);
}

}  // namespace
}  // namespace outcrop::runtime
