#include "runtime/runner/described_goldens.hpp"

#include <gmock/gmock.h>

#include <functional>
#include <limits>
#include <vector>

#include "protocol/messages/earlier_golden.hpp"
#include "runtime/runner/signed_values.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::runtime {
namespace {

using messages::ScalarKind;
using messages::ScalarType;
using messages::TensorReference;
using messages::TensorType;
using ::testing::HasSubstr;

Tensor tensor(const char* name, std::vector<std::int64_t> shape, float value = 0) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  const std::vector<float> values(count, value);
  return Tensor::of_floats(name, std::move(shape), values);
}

messages::Signature signature() {
  const std::vector<messages::Output> outputs{
      {"map", TensorType{"float32", {"batch", 6}, "m/s", {}}, {}}};
  messages::Method forward{"forward", {}, outputs};
  forward.inputs = {{"batch_size", ScalarType{ScalarKind::integer, {}, {}, "batch"}},
                    {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, {}, ""}}};
  messages::Method decode{"decode", {}, outputs};
  decode.inputs = {{"latent", TensorType{"float32", {"batch", 4}, "", {}}}};
  return {"forward", {forward, decode}};
}

struct Files {
  std::vector<messages::GoldenCall> calls;
  std::vector<Tensor> inputs;
  std::vector<Tensor> outputs;
};

Files good() {
  const messages::GoldenCall forward{"forward", {std::int64_t{2}, std::int64_t{7}}, {{"drawn"}}};
  const messages::GoldenCall decode{"decode", {TensorReference("some")}, {{"decoded"}}};
  return {{forward, decode}, {tensor("some", {1, 4})}, {tensor("drawn", {2, 6}), tensor("decoded", {1, 6})}};
}

Result<std::vector<ProofCall>> calls_of(const Files& files) {
  return proof_calls(signature(), files.calls, files.inputs, files.outputs);
}

TEST(DescribedGoldens, are_calls_with_arguments_of_any_type_and_named_answers) {
  const auto calls = calls_of(good());
  ASSERT_THAT(calls, IsOk());
  ASSERT_EQ(calls->size(), 2U);
  EXPECT_EQ(std::get<std::int64_t>(calls->at(0).arguments.at(1)), 7);
  EXPECT_EQ(calls->at(0).outputs.at(0).name, "map");
  EXPECT_EQ(std::get<Tensor>(calls->at(1).arguments.at(0)).shape,
            (std::vector<std::int64_t>{1, 4}));
}

TEST(DescribedGoldens, hold_just_what_was_signed) {
  const auto refused = [](const std::function<void(Files&)>& change, const char* why) {
    Files files = good();
    change(files);
    EXPECT_THAT(calls_of(files), ErrorIs(ErrorCode::untrusted, HasSubstr(why)));
  };
  refused([](Files& f) { f.inputs.clear(); }, "the golden input holds no 'some'; it holds nothing");
  refused([](Files& f) { f.outputs.pop_back(); }, "the golden output holds no 'decoded'");
  refused([](Files& f) { f.outputs.push_back(tensor("more", {1, 6})); },
          "the golden output holds 'more', which no call names");
  refused([](Files& f) { f.outputs[0] = tensor("drawn", {1, 6}); },
          "golden call 1: forward gave float32 [1, 6] for 'map'; its signature says float32 [batch, "
          "6] m/s");
  refused([](Files& f) { f.inputs[0] = tensor("some", {1, 5}); },
          "golden call 2: decode: 'latent' is float32 [1, 5]");
  refused([](Files& f) { f.calls.clear(); }, "needs golden calls");
  refused([](Files& f) { f.calls[0].method = "sample"; }, "no method 'sample' is signed");
}

TEST(DescribedGoldens, are_finite_and_what_is_not_is_named) {
  const float nothing = std::numeric_limits<float>::quiet_NaN();
  Files files = good();
  files.outputs[1] = tensor("decoded", {1, 6}, nothing);
  EXPECT_THAT(calls_of(files),
              ErrorIs(ErrorCode::untrusted,
                      HasSubstr("golden call 2: 'decoded' holds a value that is not finite")));
  files = good();
  files.inputs[0] = tensor("some", {1, 4}, nothing);
  EXPECT_THAT(calls_of(files), ErrorIs(ErrorCode::untrusted, HasSubstr("'latent' has a value that")));
}

// Releases of protocols 1 to 3: rows of tensors through one method.
TEST(DescribedGoldens, of_earlier_releases_are_a_call_for_each_row) {
  messages::RowsGolden rows;
  rows.latents = 2;
  rows.inputs = {{"latent", "float32", {4}, ""}};
  rows.outputs = {{"map", "float32", {6}, "m/s"}};
  const auto read = [&](std::vector<std::int64_t> input, std::vector<std::int64_t> output) {
    return proof_calls(signature_of(rows), messages::calls_of(rows),
                       {tensor("latent", std::move(input))}, {tensor("map", std::move(output))});
  };
  const auto calls = read({2, 4}, {2, 6});
  ASSERT_THAT(calls, IsOk());
  ASSERT_EQ(calls->size(), 2U);
  EXPECT_EQ(calls->at(1).method, "decode");
  EXPECT_EQ(calls->at(1).outputs.at(0).shape, (std::vector<std::int64_t>{1, 6}));
  EXPECT_THAT(read({1, 4}, {2, 6}), ErrorIs(ErrorCode::untrusted, HasSubstr("has no row 1")));
  EXPECT_THAT(read({3, 4}, {2, 6}),
              ErrorIs(ErrorCode::untrusted, HasSubstr("'latent', float32 [3, 4], and 2 rows")));
  EXPECT_THAT(read({2, 4}, {2, 5}), ErrorIs(ErrorCode::untrusted, HasSubstr("[1, 5]")));
}

TEST(Schemas, of_a_file_are_those_of_its_signature) {
  const std::map<std::string, std::string> good{
      {"forward", "forward(int batch_size, int seed=0) -> Tensor"},
      {"decode", "decode(Tensor latent) -> Tuple[Tensor]"},
      {"more", "more(str text) -> int"}};
  EXPECT_THAT(check_schemas(signature(), good), IsOk());
  const auto refused = [&](const char* method, const char* schema) {
    auto schemas = good;
    schemas[method] = schema;
    EXPECT_THAT(check_schemas(signature(), schemas),
                ErrorIs(ErrorCode::invalid_data, HasSubstr("is not what its signature says")))
        << schema;
  };
  refused("forward", "forward(int batch_size) -> Tensor");
  refused("forward", "forward(int count, int seed=0) -> Tensor");
  refused("forward", "forward(float batch_size, int seed=0) -> Tensor");
  refused("forward", "forward(int batch_size, int seed=0) -> Tuple[Tensor, Tensor]");
  refused("forward", "forward(int batch_size, int seed=0) -> int");
  refused("decode", "decode(Dict[str, Tensor] latent) -> Tensor");
  refused("decode", "decode(...)");
  auto missing = good;
  missing.erase("decode");
  EXPECT_THAT(check_schemas(signature(), missing),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("no method 'decode', which its signature names; it has forward, more")));
}

}  // namespace
}  // namespace outcrop::runtime
