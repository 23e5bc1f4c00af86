#include "agent/control/infer_text.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "agent/control/ask_agent.hpp"
#include "agent/control/tokenize.hpp"
#include "protocol/base/json_text.hpp"
#include "runtime/engine/tensor_file.hpp"

namespace outcrop::agent {
namespace {

using Json = nlohmann::json;

// A first inference starts a runner and loads the model.
constexpr std::chrono::minutes first_answer{10};

struct Asked {
  std::string manifest;  // of the release
  messages::TextInput text;
};

Result<Asked> ask_how(const SocketOption& socket) {
  OUTCROP_TRY(answer, ask_agent(socket, {.method = "GET", .target = "/v1/text"}));
  const Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  const bool known = json.is_object() && json.contains("manifest") && json["manifest"].is_string() && json.contains("text");
  if (!known) return fail(ErrorCode::invalid_data, "the agent's answer to /v1/text means nothing");
  OUTCROP_TRY(text, messages::parse_text_input(json_text(json["text"])));
  return Asked{json["manifest"].get<std::string>(), std::move(text)};
}

// A vocabulary of one release means nothing to another.
Status check_still_serves(const SocketOption& socket, const std::string& manifest) {
  OUTCROP_TRY(again, ask_how(socket));
  if (again.manifest == manifest) return {};
  return fail(ErrorCode::refused, "another release took over meanwhile; ask again");
}

Result<std::vector<float>> probabilities_in(const std::vector<runtime::Tensor>& outputs, const messages::TextInput& input) {
  for (const runtime::Tensor& output : outputs) {
    if (output.name != input.output || output.dtype != runtime::DType::float32 ||
        output.data.size() != input.classes.size() * sizeof(float)) {
      continue;
    }
    const auto values = output.floats();
    return std::vector<float>(values.begin(), values.end());
  }
  return fail(ErrorCode::invalid_data, "the release answers no '" + input.output + "' of " +
                                           std::to_string(input.classes.size()) + " classes");
}

void print(const messages::TextInput& input, const std::vector<float>& probabilities, bool as_json) {
  const auto best = std::max_element(probabilities.begin(), probabilities.end()) - probabilities.begin();
  const std::string& name = input.classes[static_cast<std::size_t>(best)];
  const auto probability = static_cast<double>(probabilities[static_cast<std::size_t>(best)]);
  if (!as_json) {
    std::printf("%s  %.1f %%\n", name.c_str(), 100.0 * probability);
    return;
  }
  Json all = Json::object();
  for (std::size_t i = 0; i < probabilities.size(); ++i) all[input.classes[i]] = probabilities[i];
  std::printf("%s\n", json_text(Json{{"class", name}, {"probability", probability}, {"probabilities", all}}, 2).c_str());
}

}  // namespace

Status infer_text(const SocketOption& socket, const std::string& text, bool as_json) {
  OUTCROP_TRY(asked, ask_how(socket));
  OUTCROP_TRY(ids, tokenize(tokenizer_beside_agent(), asked.text, text));
  const std::vector<runtime::Tensor> inputs{
      runtime::Tensor::of_integers(asked.text.input, {1, static_cast<std::int64_t>(ids.size())}, ids)};
  OUTCROP_TRY(body, runtime::encode_tensor_file(inputs));
  http::Call call{.method = "POST", .target = "/v1/infer"};
  call.body = std::string(as_text(body));
  call.content_type = "application/octet-stream";
  call.deadline = first_answer;
  OUTCROP_TRY(answer, ask_agent(socket, call));
  OUTCROP_CHECK(check_still_serves(socket, asked.manifest));
  OUTCROP_TRY(outputs, runtime::decode_tensor_file(as_bytes(answer.body)));
  OUTCROP_TRY(probabilities, probabilities_in(outputs, asked.text));
  print(asked.text, probabilities, as_json);
  return {};
}

}  // namespace outcrop::agent
