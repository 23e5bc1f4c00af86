// Against what public programs choose: tests/codes/make_codes.py.
#include <torch/script.h>

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/quantize/codes/awq.hpp"
#include "trainer_host/trainer/quantize/codes/gptq.hpp"
#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/nf4.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;

class PublicCodes : public ::testing::Test {
 protected:
  [[nodiscard]] Tensor of(const std::string& name) const { return module_.attr(name).toTensor(); }
  [[nodiscard]] Tensor weight() const { return of("weight").to(torch::kFloat); }
  [[nodiscard]] LayerInputs inputs() const {
    const Tensor all = of("inputs").to(torch::kFloat);
    LayerInputs seen(all.size(1));
    EXPECT_THAT(seen.add(all.narrow(0, 0, 40)), IsOk());
    EXPECT_THAT(seen.add(all.narrow(0, 40, all.size(0) - 40)), IsOk());
    return seen;
  }
  void expect_alike(const Tensor& codes, const std::string& name, double share) {
    ASSERT_EQ(codes.sizes(), of(name).sizes());
    const double same = codes.eq(of(name)).to(torch::kDouble).mean().item<double>();
    RecordProperty(name, std::to_string(same));
    EXPECT_GE(same, share) << name;
  }

 private:
  torch::jit::Module module_ = torch::jit::load(OUTCROP_SOURCE "/tests/codes/codes.pt");
};

TEST_F(PublicCodes, nf4_has_bitsandbytes_bytes) {
  const Tensor weights = of("nf4_weight").to(torch::kFloat);
  const auto made = nf4(weights);
  ASSERT_THAT(made, IsOk());
  const Tensor pairs = made->codes.reshape({-1, 2});
  EXPECT_TRUE(torch::equal(pairs.select(1, 0) * 16 + pairs.select(1, 1), of("nf4_packed")));
  EXPECT_TRUE(torch::equal(made->map, of("nf4_map")));
  EXPECT_TRUE(torch::equal(made->scale_codes, of("nf4_scale_codes")));
  EXPECT_TRUE(torch::equal(made->second_scales, of("nf4_second_scales")));
  EXPECT_TRUE(torch::equal(made->mean, of("nf4_mean")));
  const auto plain = nf4(weights, {.double_quantization = false});
  ASSERT_THAT(plain, IsOk());
  EXPECT_TRUE(torch::equal(plain->scales, of("nf4_absmax")));
}

TEST_F(PublicCodes, gptq_chooses_its_authors_codes) {
  struct Case {
    const char* name;
    GptqOptions options;
  };
  for (const auto& [name, options] :
       {Case{"gptq", {.groups = {.group = 64}}}, Case{"gptq_rows", {.groups = {.group = -1, .symmetric = true}}},
        Case{"gptq_order", {.groups = {.group = 32}, .activation_order = true}}}) {
    GptqOptions theirs_too = options;
    theirs_too.unseen = UnseenInputs::as_published;
    const auto made = gptq(weight(), inputs().hessian(), theirs_too);
    ASSERT_THAT(made, IsOk());
    EXPECT_FALSE(made->rounding_kept);
    EXPECT_LT(made->error, 0.5 * made->rounding_error);
    expect_alike(made->codes.codes, name, 0.999);
    const Tensor theirs = of(std::string(name) + "_values").to(torch::kFloat);
    const double off = (float_values(made->codes) - theirs).abs().mean().item<double>();
    EXPECT_LT(off, 1e-4) << name << ": columns are where they were";
    EXPECT_EQ(made->codes.order.defined(), options.activation_order);
  }
}

TEST_F(PublicCodes, awq_chooses_its_authors_codes) {
  const LayerInputs seen = inputs();
  const Tensor flipped = weight().flip({0, 1});
  for (const auto& [name, group] : {std::pair{"awq", 64}, std::pair{"awq_rows", -1}, std::pair{"awq_flipped", 32}}) {
    const Tensor weights = std::string(name) == "awq_flipped" ? flipped : weight();
    const auto made = awq(weights, seen.hessian(), seen.mean_abs(), {.group = group}, UnseenInputs::as_published, AwqClip::never);
    ASSERT_THAT(made, IsOk());
    EXPECT_FALSE(made->rounding_kept);
    EXPECT_LT(made->error, made->rounding_error);
    expect_alike(made->codes.codes, name, 0.999);
    EXPECT_TRUE(torch::allclose(made->codes.column_scales, of(std::string(name) + "_scales"), 1e-3, 0));
  }
}

// Column 5 was always 0; another row has it.
TEST_F(PublicCodes, of_inputs_that_were_never_seen_are_rounded) {
  const LayerInputs seen = inputs();
  ASSERT_EQ(seen.mean_abs()[5].item<float>(), 0.0F);
  const auto by_gptq = gptq(weight(), seen.hessian(), {.groups = {.group = 64}});
  const auto by_awq = awq(weight(), seen.hessian(), seen.mean_abs(), {.group = 64});
  ASSERT_THAT(by_gptq, IsOk());
  ASSERT_THAT(by_awq, IsOk());
  const Tensor column = weight().select(1, 5);
  for (const Tensor& values : {float_values(by_gptq->codes), float_values(by_awq->codes)}) {
    const double off = ((values.select(1, 5) - column).norm() / column.norm()).item<double>();
    EXPECT_LT(off, 0.2);
  }
}

}  // namespace
}  // namespace outcrop::quantize
