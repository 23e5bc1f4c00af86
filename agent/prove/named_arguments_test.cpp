#include "agent/prove/named_arguments.hpp"

#include <gmock/gmock.h>

#include <array>
#include <limits>

#include "agent/prove/largest_answer.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::agent {
namespace {

using messages::Method;
using messages::Range;
using messages::ScalarKind;
using messages::ScalarType;
using messages::TensorType;
using ::testing::HasSubstr;

constexpr ByteCount enough = ByteCount::mib(1);

Method sampler() {
  Method method{"sample", {}, {}};
  method.inputs.push_back({"batch_size", ScalarType{ScalarKind::integer, {}, Range{0, 5000}, "batch"}});
  method.inputs.push_back({"seed", ScalarType{ScalarKind::integer, std::int64_t{3}, Range{0, 100}, ""}});
  method.outputs.push_back({"map", TensorType{"float32", {"batch", 1, 10}, "m/s", {}}, {}});
  return method;
}

// Two tensors of the same count, a number and a switch.
Method mixer() {
  Method method{"mix", {}, {}};
  method.inputs.push_back({"a", TensorType{"float32", {"batch", 2}, "", Range{0, 1}}});
  method.inputs.push_back({"b", TensorType{"float32", {"batch", "width"}, "", {}}});
  method.inputs.push_back({"share", ScalarType{ScalarKind::real, {}, {}, ""}});
  method.inputs.push_back({"sharp", ScalarType{ScalarKind::boolean, false, {}, ""}});
  method.outputs.push_back({"mixed", TensorType{"float32", {"batch", "width"}, "", {}}, {}});
  return method;
}

runtime::Tensor tensor(const std::string& name, std::vector<std::int64_t> shape, float value = 0.5F) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  const std::vector<float> values(static_cast<std::size_t>(count), value);
  return runtime::Tensor::of_floats(name, std::move(shape), values);
}

auto refused(const std::string& why) {
  return ErrorIs(ErrorCode::invalid_argument, HasSubstr(why));
}

TEST(NamedArguments, have_defaults_and_count_is_whatever_gives_the_batch) {
  const auto one = call_of(sampler(), {}, enough);
  ASSERT_THAT(one, IsOk());
  EXPECT_EQ(std::get<std::int64_t>(one->arguments[0]), 1);
  EXPECT_EQ(std::get<std::int64_t>(one->arguments[1]), 3);
  const auto four = call_of(sampler(), {{{"count", "4"}, {"seed", "7"}}, {}}, enough);
  ASSERT_THAT(four, IsOk());
  EXPECT_EQ(std::get<std::int64_t>(four->arguments[0]), 4);
  EXPECT_EQ(four->sizes.at("batch"), 4);
}

TEST(NamedArguments, say_what_the_release_takes) {
  EXPECT_THAT(call_of(sampler(), {{{"temperature", "1"}}, {}}, enough),
              refused("there is no input 'temperature'; the release serves sample(batch_size: int 0 "
                      "to 5000, seed: int 0 to 100 = 3) -> map float32 [batch, 1, 10] m/s"));
  EXPECT_THAT(call_of(sampler(), {{{"seed", "1.5"}}, {}}, enough), refused("a whole number, not '1.5'"));
  EXPECT_THAT(call_of(sampler(), {{{"seed", "101"}}, {}}, enough), refused("'seed' is 101"));
  EXPECT_THAT(call_of(sampler(), {{{"count", "2"}, {"batch_size", "2"}}, {}}, enough),
              refused("'batch_size' was given twice"));
  EXPECT_THAT(call_of(sampler(), {{}, {tensor("latent", {1, 4})}}, enough),
              refused("there is no tensor 'latent'"));
  EXPECT_THAT(call_of(sampler(), {{}, {tensor("", {1, 4})}}, enough), refused("takes no tensor"));
}

TEST(NamedArguments, refuse_an_answer_that_is_too_large_before_it_is_made) {
  EXPECT_THAT(call_of(sampler(), {{{"count", "500"}}, {}}, ByteCount(20'000)), IsOk());
  EXPECT_THAT(call_of(sampler(), {{{"count", "501"}}, {}}, ByteCount(20'000)),
              refused("ask for fewer samples"));
}

TEST(NamedArguments, take_tensors_whose_free_dimensions_agree) {
  NamedArguments good{{{"share", "0.25"}}, {tensor("b", {3, 7}), tensor("a", {3, 2})}};
  const auto call = call_of(mixer(), good, enough);
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(std::get<runtime::Tensor>(call->arguments[0]).name, "a");
  EXPECT_EQ(std::get<double>(call->arguments[2]), 0.25);
  EXPECT_FALSE(std::get<bool>(call->arguments[3]));
  EXPECT_EQ(call->sizes.at("width"), 7);

  const auto with = [&](runtime::Tensor a, runtime::Tensor b) {
    return call_of(mixer(), {{{"share", "0.25"}}, {std::move(a), std::move(b)}}, enough);
  };
  EXPECT_THAT(with(tensor("a", {3, 2}), tensor("b", {4, 7})),
              refused("'b' is float32 [4, 7], with batch = 3; it takes b: float32 [batch, width]"));
  EXPECT_THAT(with(tensor("a", {3, 3}), tensor("b", {3, 7})), refused("'a' is float32 [3, 3]"));
  EXPECT_THAT(with(tensor("a", {3, 2}, 1.5F), tensor("b", {3, 7})), refused("outside its range"));
  EXPECT_THAT(with(tensor("a", {3, 2}),
                   tensor("b", {3, 7}, std::numeric_limits<float>::quiet_NaN())),
              refused("'b' has a value that is not finite"));
  EXPECT_THAT(call_of(mixer(), {{}, {tensor("a", {3, 2}), tensor("b", {3, 7})}}, enough),
              refused("'share' is missing"));
  EXPECT_THAT(call_of(mixer(), {{{"share", "1"}}, {tensor("a", {3, 2})}}, enough),
              refused("the tensor 'b' is missing"));
  EXPECT_THAT(call_of(mixer(), {{{"share", "1"}, {"a", "2"}}, {}}, enough),
              refused("'a' is a tensor, and comes from a file"));
  EXPECT_THAT(call_of(mixer(), {{{"share", "1"}, {"sharp", "1"}}, good.tensors}, enough),
              refused("true or false"));
}

TEST(NamedArguments, take_an_array_without_a_name_where_it_can_be_only_one_tensor) {
  Method method{"look", {}, {}};
  method.inputs.push_back({"image", TensorType{"float32", {"batch", 2}, "", {}}});
  method.outputs.push_back({"answer", TensorType{"int64", {"batch"}, "", {}}, messages::Score::label});
  const auto call = call_of(method, {{}, {tensor("", {5, 2})}}, enough);
  ASSERT_THAT(call, IsOk());
  EXPECT_EQ(call->sizes.at("batch"), 5);
  EXPECT_THAT(call_of(mixer(), {{{"share", "1"}}, {tensor("", {5, 2})}}, enough),
              refused("an array without a name"));
}

TEST(LargestAnswer, is_a_share_of_the_memory_between_bounds) {
  EXPECT_EQ(largest_answer(ByteCount::mib(128)), ByteCount::mib(48));
  EXPECT_EQ(largest_answer(ByteCount::mib(512)), ByteCount::mib(64));
  EXPECT_EQ(largest_answer(ByteCount::mib(64 * 1024)), ByteCount::mib(256));
  EXPECT_GE(largest_answer(), ByteCount::mib(48));
}

}  // namespace
}  // namespace outcrop::agent
