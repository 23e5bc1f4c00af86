#include "agent/control/open_inference.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <cmath>

#include "tests/support/result_matchers.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;
using runtime::Tensor;

messages::Manifest manifest() {
  messages::Manifest made;
  made.model = "curvefault";
  made.stage = 3;
  const messages::TensorType map{"float32", {"batch", 2}, "m/s", {}};
  messages::ScalarType seed;
  seed.otherwise = std::int64_t{0};
  messages::ScalarType scale;
  scale.kind = messages::ScalarKind::real;
  messages::ScalarType smooth;
  smooth.kind = messages::ScalarKind::boolean;
  made.signature = {"forward",
                    {{"forward",
                      {{"map", map}, {"seed", seed}, {"scale", scale}, {"smooth", smooth}},
                      {{"velocity", map, {}}, {"count", {"int64", {1}, "", {}}, {}}}}}};
  return made;
}

Result<InferenceRequest> read(const std::string& body, const std::string& length = "") {
  return read_inference(body, length, manifest().signature.serves());
}

std::string bytes_of(auto value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

TEST(OpenInference, reads_json_flat_or_in_lists) {
  const auto request = read(R"({"id": "a", "inputs": [
      {"name": "map", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2.5], [3, 4]]},
      {"name": "seed", "datatype": "INT64", "shape": [1], "data": [7]},
      {"name": "scale", "datatype": "FP64", "shape": [1], "data": [0.5]},
      {"name": "smooth", "datatype": "BOOL", "shape": [1], "data": [true]}]})");
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->id, "a");
  EXPECT_EQ(request->arguments.tensors.at(0).floats()[1], 2.5F);
  const std::map<std::string, std::string> scalars{{"scale", "0.5"}, {"seed", "7"}, {"smooth", "true"}};
  EXPECT_EQ(request->arguments.scalars, scalars);
}

TEST(OpenInference, reads_tensors_that_follow_as_bytes_in_their_order) {
  const std::string json = R"({"inputs": [
      {"name": "seed", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}},
      {"name": "map", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
      {"name": "scale", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
      {"name": "smooth", "datatype": "BOOL", "shape": [1], "parameters": {"binary_data_size": 1}}],
      "outputs": [{"name": "velocity", "parameters": {"binary_data": true}}]})";
  const std::string bytes = bytes_of(std::int64_t{-9}) + bytes_of(1.5F) + bytes_of(2.5F) + bytes_of(0.25F) + '\0';
  const auto request = read(json + bytes, std::to_string(json.size()));
  ASSERT_THAT(request, IsOk());
  const std::map<std::string, std::string> scalars{{"scale", "0.25"}, {"seed", "-9"}, {"smooth", "false"}};
  EXPECT_EQ(request->arguments.scalars, scalars);
  EXPECT_EQ(request->arguments.tensors.at(0).floats()[1], 2.5F);
  EXPECT_TRUE(request->outputs.at("velocity"));
}

TEST(OpenInference, says_what_is_wrong_with_a_request) {
  const auto refused = [](const std::string& inputs, const std::string& why) {
    EXPECT_THAT(read("{\"inputs\": " + inputs + "}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr(why))) << inputs;
  };
  EXPECT_THAT(read("nothing"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no JSON object")));
  EXPECT_THAT(read("{}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no list 'inputs'")));
  EXPECT_THAT(read("{}", "3"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("the body has 2 bytes")));
  EXPECT_THAT(read("{}", "-1"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("Inference-Header-Content-Length is '-1'")));
  EXPECT_THAT(read("{\"inputs\": []}rest", "14"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("belong to no input")));
  EXPECT_THAT(read(std::string(40, '[')), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no JSON object")));
  EXPECT_THAT(read("{\"more\": " + std::string(40, '[')), ErrorIs(ErrorCode::invalid_argument, HasSubstr("16 deep")));
  EXPECT_THAT(read("{\"inputs\": [], \"inputs\": []}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("'inputs' stands twice")));
  EXPECT_THAT(read("{\"inputs\": [], \"outputs\": 7}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("'outputs' is no list")));
  EXPECT_THAT(read("{\"inputs\": [], \"outputs\": [{}]}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no text 'name'")));
  EXPECT_THAT(read("{\"id\": \"" + std::string(2000, 'a') + "\", \"inputs\": []}"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("the id has more")));
  refused("[7]", "must be an object");
  refused(R"([{"datatype": "FP32"}])", "no text 'name'");
  refused(R"([{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}])", "there is no input 'x'");
  refused(R"([{"name": "map", "datatype": "FP32", "data": [1]}])", "has no shape");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [1, 2], "data": [1]}])", "has 4 bytes");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [-1, 2], "data": [1]}])", "");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [99999999999, 99999999999], "data": [1]}])", "");
  refused(R"([{"name": "map", "datatype": "INT8", "shape": [1, 2], "data": [1, 2]}])", "is INT8; it must be FP32");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [1, 2], "data": ["a", 2]}])", "is no value of FP32");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [1, 2]}])", "neither data nor");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}])", "than the 0 bytes that are left");
  refused(R"([{"name": "map", "datatype": "FP32", "shape": [1, 2], "data": [1, 2], "parameters": {"binary_data_size": 0}}])", "both");
  refused(R"([{"name": "seed", "datatype": "INT64", "shape": [2], "data": [1, 2]}])", "must be one value of INT64");
  refused(R"([{"name": "seed", "datatype": "INT64", "shape": [1], "data": [1]}, {"name": "seed", "datatype": "INT64", "shape": [1], "data": [1]}])", "given twice");
}

// Each would be a tree of many times its size, and is left at the first value that is too much.
TEST(OpenInference, reads_no_further_than_a_request_is_what_the_release_takes) {
  const auto many = [](std::string_view one) {
    std::string text;
    for (int i = 0; i < 10'000; ++i) text += one;
    return text;
  };
  const auto refused = [](const std::string& text, const std::string& why) {
    EXPECT_THAT(read("{\"inputs\": [" + text), ErrorIs(ErrorCode::invalid_argument, HasSubstr(why)));  // never ended
  };
  const std::string map = R"({"name": "map", "datatype": "FP32", "shape": [1, 2], "data": [)";
  refused(map + many("0,"), "more values than its shape says");
  refused(map + "1, 2, 3", "more values than its shape says");
  refused(map + many("[],"), "an empty list");
  refused(map + "1, {", "'an object' is no value of FP32");
  refused(map + "true, 1", "true or false stands beside other values");
  refused(R"({"data": [1, false)", "true or false stands beside other values");
  refused(R"({"data": [[1], [2)", "no JSON object");
  refused(many("{},"), "more inputs than the 4 that there are");
  refused("], \"outputs\": [" + many("{\"name\": \"velocity\"},"), "more outputs than the 2 that there are");
  refused(R"({"shape": [1, 1, 1, 1, 1, 1, 1, 1, 1)", "no shape of at most 8");
  refused(R"({"shape": [1], "shape": [)", "its shape stands twice");
  refused(R"({"data": [1], "data": [)", "its data stand twice");
}

TEST(OpenInference, takes_members_in_any_order_and_leaves_out_what_means_nothing_here) {
  const auto request = read(R"({"parameters": {"more": [{"a": []}], "binary_data_output": true}, "outputs": [{"parameters": {}, "name": "count"}],
      "inputs": [{"data": [1, [2.5, 18446744073709551615], 4], "shape": [2, 2], "parameters": {"more": null}, "name": "map", "datatype": "FP32"},
                 {"data": [[true]], "name": "smooth", "shape": [1], "datatype": "BOOL"}], "more": {"a": [1, [2]]}})");
  ASSERT_THAT(request, IsOk());
  const auto values = request->arguments.tensors.at(0).floats();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{1, 2.5F, 18446744073709551615.0F, 4}));
  EXPECT_EQ(request->arguments.scalars.at("smooth"), "true");
  EXPECT_TRUE(request->outputs.at("count"));
  // Data of one shape that stands behind them.
  EXPECT_THAT(read(R"({"inputs": [{"data": [1, 2, 3], "shape": [1, 2], "name": "map", "datatype": "FP32"}]})"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("has 12 bytes")));
  EXPECT_THAT(read(R"({"inputs": [{"data": [1.5], "shape": [1], "name": "seed", "datatype": "INT64"}]})"), IsOk()) << "its kind is call_of()'s to judge";
}

TEST(OpenInference, gives_no_more_json_than_it_may) {
  const std::vector<float> values(17 << 20, 0.5F);
  const std::vector outputs{Tensor::of_floats("velocity", {17 << 20}, values)};
  InferenceRequest request;
  EXPECT_EQ(values_in_json(request, outputs), values.size());
  EXPECT_THAT(inference_answer(request, manifest(), outputs), ErrorIs(ErrorCode::invalid_argument, HasSubstr("ask for binary_data")));
  const std::vector<float> third(4 << 20, 1.0F / 3);  // ten digits each
  EXPECT_THAT(inference_answer(request, manifest(), {Tensor::of_floats("velocity", {4 << 20}, third)}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("ask for binary_data")));
  request.as_bytes = true;
  EXPECT_EQ(values_in_json(request, outputs), 0U);
  EXPECT_THAT(inference_answer(request, manifest(), outputs), IsOk());
}

TEST(OpenInference, answers_in_json_or_bytes_as_asked) {
  const std::vector<float> values{1.5F, 2};
  const std::vector<std::int64_t> counts{-4};
  const std::vector outputs{Tensor::of_floats("velocity", {1, 2}, values), Tensor::of_integers("count", {1}, counts)};
  InferenceRequest request;
  request.id = "a";
  auto answer = inference_answer(request, manifest(), outputs);
  ASSERT_THAT(answer, IsOk());
  auto json = nlohmann::json::parse(answer->body);
  EXPECT_EQ(json["model_name"], "curvefault");
  EXPECT_EQ(json["model_version"], "3");
  EXPECT_EQ(json["id"], "a");
  EXPECT_EQ(json["outputs"][0]["data"][0], 1.5);
  EXPECT_EQ(json["outputs"][1]["data"][0], -4);
  EXPECT_EQ(answer->content_type, "application/json");
  EXPECT_TRUE(answer->parts.empty());

  request.outputs = {{"count", true}};
  answer = inference_answer(request, manifest(), outputs);
  ASSERT_THAT(answer, IsOk());
  ASSERT_EQ(answer->headers.at(0).first, "Inference-Header-Content-Length");
  EXPECT_EQ(answer->headers.at(0).second, std::to_string(answer->body.size()));
  json = nlohmann::json::parse(answer->body);
  EXPECT_EQ(json["outputs"].size(), 1U);
  EXPECT_EQ(json["outputs"][0]["parameters"]["binary_data_size"], 8);
  ASSERT_EQ(answer->parts.size(), 1U);
  EXPECT_EQ(as_text(answer->parts[0]), bytes_of(std::int64_t{-4}));

  request.outputs = {{"density", false}};
  EXPECT_THAT(inference_answer(request, manifest(), outputs), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no output 'density'")));
  const std::vector<float> infinite{1, std::nanf("")};
  request.outputs = {{"velocity", false}};
  EXPECT_THAT(inference_answer(request, manifest(), {Tensor::of_floats("velocity", {1, 2}, infinite)}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("not finite")));
}

TEST(OpenInference, tells_what_the_model_takes_and_gives) {
  const auto json = nlohmann::json::parse(model_metadata(manifest(), "torch"));
  EXPECT_EQ(json["versions"], (std::vector<std::string>{"3"}));
  EXPECT_EQ(json["inputs"][0]["shape"], (std::vector<int>{-1, 2}));
  EXPECT_EQ(json["inputs"][1]["datatype"], "INT64");
  EXPECT_EQ(json["inputs"][1]["shape"], (std::vector<int>{1}));
  EXPECT_EQ(json["outputs"][0]["datatype"], "FP32");
}

}  // namespace
}  // namespace outcrop::agent
