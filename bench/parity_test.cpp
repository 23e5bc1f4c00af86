#include "bench/parity.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::bench {
namespace {

using runtime::Tensor;
using ::testing::HasSubstr;

Tensor of(const std::string& name, std::vector<float> values) {
  return Tensor::of_floats(name, {static_cast<std::int64_t>(values.size())}, values);
}

TEST(Parity, counts_what_differs_by_operator) {
  const std::vector<Tensor> here{of("0 quantized::conv2d", {1, 2, 3}), of("1 aten::relu", {0, 4}),
                                 of("2 quantized::conv2d", {8, -8})};
  const std::vector<Tensor> there{of("0 quantized::conv2d", {1, 3, 3}), of("1 aten::relu", {0, 4}),
                                  of("2 quantized::conv2d", {6, -8})};
  const auto found = differences(here, there);
  ASSERT_THAT(found, IsOk());
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->at(0).name, "quantized::conv2d");
  EXPECT_EQ(found->at(0).tensors, 2U);
  EXPECT_EQ(found->at(0).values, 5U);
  EXPECT_EQ(found->at(0).differing, 2U);
  EXPECT_DOUBLE_EQ(found->at(0).largest, 2.0);
  EXPECT_DOUBLE_EQ(found->at(0).relative, 1.0 / 3.0);
  EXPECT_EQ(found->at(1).differing, 0U);
}

TEST(Parity, refuses_runs_of_different_models) {
  const std::vector<Tensor> here{of("0 quantized::conv2d", {1, 2})};
  const std::vector<Tensor> other{of("0 prepacked::conv2d_clamp_run", {1, 2})};
  const std::vector<Tensor> longer{of("0 quantized::conv2d", {1, 2, 3})};
  for (const auto& there : {other, longer, std::vector<Tensor>{}}) {
    EXPECT_THAT(differences(here, there),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("not two runs of the same model")));
  }
}

}  // namespace
}  // namespace outcrop::bench
