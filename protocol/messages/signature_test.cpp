#include "protocol/messages/signature.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "protocol/messages/fields.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::messages {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A model that takes images and a number, and one that draws.
Json good() {
  return Json::parse(R"({
    "served": "classify",
    "methods": [
      {"name": "classify",
       "inputs": [
         {"name": "image", "type": "tensor", "dtype": "float32", "shape": ["batch", 1, 28, 28],
          "unit": "", "range": [0, 1]},
         {"name": "temperature", "type": "float", "default": 1.0, "range": [0.1, 10]},
         {"name": "sharp", "type": "bool", "default": false}],
       "outputs": [
         {"name": "logits", "dtype": "float32", "shape": ["batch", 10], "unit": "", "score": "class"}]},
      {"name": "draw",
       "inputs": [{"name": "count", "type": "int", "gives": "batch", "range": [1, 16]}],
       "outputs": [
         {"name": "logits", "dtype": "float32", "shape": ["batch", 10], "unit": "", "score": "class"},
         {"name": "seeds", "dtype": "int64", "shape": ["batch"], "unit": "", "score": "absolute"}]}]})");
}

Result<Signature> read(const Json& json) {
  ObjectReader reader(json, "signature");
  Signature signature = read_signature(reader);
  OUTCROP_CHECK(reader.status());
  return signature;
}

TEST(SignatureCodec, reads_as_it_was_written) {
  const auto signature = read(good());
  ASSERT_THAT(signature, IsOk());
  EXPECT_EQ(signature->serves().name, "classify");
  EXPECT_EQ(signature->serves().outputs[0].score, Score::label);
  const auto again = read(Json::parse(signature_to_json(*signature).dump()));
  ASSERT_THAT(again, IsOk()) << signature_to_json(*signature);
  EXPECT_TRUE(*again == *signature);
  EXPECT_EQ(describe(signature->methods[1]),
            "draw(count: int 1 to 16) -> logits float32 [batch, 10], seeds int64 [batch]");
}

TEST(SignatureCodec, names_the_path_of_what_it_refuses) {
  const auto refused = [](const char* at, const Json& value, const char* why) {
    Json json = good();
    json[Json::json_pointer(at)] = value;
    EXPECT_THAT(read(json), ErrorIs(ErrorCode::invalid_data, HasSubstr(why)));
  };
  refused("/served", "sample", "signature.served: 'sample' is none of its methods");
  refused("/methods/0/name", "draw", "signature.methods[1].name: stands twice");
  refused("/methods/0/name", "clas sify", "'clas sify' is not a name");
  refused("/methods/0/inputs/0/type", "image", "signature.methods[0].inputs[0].type: 'image' is none");
  refused("/methods/0/inputs/0/shape/1", 0, "inputs[0].shape: must be an array");
  refused("/methods/0/inputs/0/shape", Json::array({1, 1, 1, 1, 1, 1, 1, 1, 1}), "at most 8");
  refused("/methods/0/inputs/0/range", Json::array({1, 0}), "its least is above its most");
  refused("/methods/1/inputs/0/range", Json::array({0.5, 4}), "range: must be of whole numbers");
  refused("/methods/0/inputs/1/name", "image", "stands twice among the inputs");
  refused("/methods/0/inputs/1/default", 100.0, "default: lies outside its own range");
  refused("/methods/0/inputs/1/gives", "batch", "gives: is an unknown key");
  refused("/methods/0/outputs/0/shape/0", "rows", "outputs[0].shape: no input says how large 'rows'");
  refused("/methods/0/outputs/0/score", "ssim", "score: 'ssim' is none of: absolute, class");
  refused("/methods/0/outputs/0/unit", "m/s", "methods[1].outputs: 'logits' is another output than");
  refused("/methods/1/outputs/1/name", "logits", "stands twice among the outputs");
  refused("/methods/1/color", 1, "signature.methods[1].color: is an unknown key");
  Json many = good();
  for (int i = 0; i < 16; ++i) many["methods"].push_back(many["methods"][0]);
  EXPECT_THAT(read(many), ErrorIs(ErrorCode::invalid_data, HasSubstr("array of 1 to 16")));
}

TEST(SignatureOfACall, says_shapes_and_bytes_of_the_answer) {
  const Signature signature = *read(good());
  const Method& draw = signature.methods[1];
  const auto sizes = check_arguments(draw, std::vector<Given>{std::int64_t{3}});
  ASSERT_THAT(sizes, IsOk());
  EXPECT_THAT(*shape_of(draw.outputs[0].type, *sizes), ElementsAre(3, 10));
  EXPECT_EQ(answer_size(draw, *sizes)->value(), 3 * 10 * 4 + 3 * 8U);
  EXPECT_THAT(answer_size(draw, {{"batch", std::int64_t{1} << 62}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("fit in no memory")));
}

TEST(SignatureOfACall, refuses_arguments_that_do_not_fit) {
  const Signature signature = *read(good());
  const auto call = [&](std::vector<std::int64_t> shape, double least, double most,
                        const Given& temperature) {
    const GivenTensor image{"float32", std::move(shape), least, most};
    return check_arguments(signature.serves(), std::vector<Given>{image, temperature, false});
  };
  EXPECT_THAT(call({2, 1, 28, 28}, 0, 1, 2.0), IsOk());
  const auto refused = [](const char* why) {
    return ErrorIs(ErrorCode::invalid_argument, HasSubstr(why));
  };
  EXPECT_THAT(call({2, 1, 28, 27}, 0, 1, 2.0),
              refused("classify: 'image' is float32 [2, 1, 28, 27]; it takes image: float32 [batch, 1, "
                      "28, 28] 0.0 to 1.0"));
  EXPECT_THAT(call({2, 1, 28, 28}, 0, 255, 2.0), refused("'image' is 255.0, outside its range"));
  EXPECT_THAT(call({2, 1, 28, 28}, std::nan(""), std::nan(""), 2.0), refused("not finite"));
  EXPECT_THAT(call({2, 1, 28, 28}, 0, 1, std::int64_t{2}), refused("'temperature' is 2; it takes"));
  EXPECT_THAT(call({2, 1, 28, 28}, 0, 1, 0.01), refused("outside its range"));
  EXPECT_THAT(check_arguments(signature.serves(), std::vector<Given>{}),
              refused("0 arguments do not fit classify("));
}

}  // namespace
}  // namespace outcrop::messages
