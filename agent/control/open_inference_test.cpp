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
  EXPECT_THAT(read(std::string(40, '[')), ErrorIs(ErrorCode::invalid_argument, HasSubstr("16 deep")));
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

  request.outputs = {{"count", true}};
  answer = inference_answer(request, manifest(), outputs);
  ASSERT_THAT(answer, IsOk());
  ASSERT_EQ(answer->headers.at(0).first, "Inference-Header-Content-Length");
  const std::size_t length = std::stoul(answer->headers.at(0).second);
  json = nlohmann::json::parse(answer->body.substr(0, length));
  EXPECT_EQ(json["outputs"].size(), 1U);
  EXPECT_EQ(json["outputs"][0]["parameters"]["binary_data_size"], 8);
  EXPECT_EQ(answer->body.substr(length), bytes_of(std::int64_t{-4}));

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
