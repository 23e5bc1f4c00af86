#include "trainer_host/trainer/kinds/text/pretrained_config.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/bytes.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr ByteCount longest_file = ByteCount::mib(1);
constexpr std::size_t deepest = 16;
constexpr std::int64_t largest_said = 1'000'000;

// An empty object where there is no such file.
Result<json> read_object(const fs::path& file) {
  const auto text = read_text_file(file, longest_file);
  if (!text && text.error().code() == ErrorCode::not_found) return json::object();
  if (!text) return fail(text.error());
  if (nested_too_deeply(*text, deepest)) return fail(ErrorCode::invalid_data, "it nests too deeply");
  json object = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return fail(ErrorCode::invalid_data, "it is no JSON object");
  return object;
}

Result<std::optional<std::int64_t>> size_in(const json& object, const char* key, std::int64_t most = largest_said) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  OUTCROP_TRY(size, json_integer(*found, key, 1, most));
  return size;
}

// As the file has it in quotes; "" where it says nothing.
Result<std::string> text_in(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::string();
  if (!found->is_string()) return fail(ErrorCode::invalid_data, std::string(key) + " is no text");
  return found->get<std::string>();
}

Result<std::optional<bool>> boolean_in(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_boolean()) return fail(ErrorCode::invalid_data, std::string(key) + " is neither true nor false");
  return found->get<bool>();
}

Status check_said(const json& object, const char* key, const std::string& right) {
  OUTCROP_TRY(said, text_in(object, key));
  if (said.empty() || said == right) return {};
  return fail(ErrorCode::unsupported, std::string(key) + " is '" + said + "'; only '" + right + "' is known");
}

Status take_network(const json& object, PretrainedConfig& config) {
  OUTCROP_CHECK(check_said(object, "model_type", "bert"));
  OUTCROP_CHECK(check_said(object, "position_embedding_type", "absolute"));
  OUTCROP_TRY(layers, size_in(object, "num_hidden_layers", most_pretrained_layers));
  OUTCROP_TRY(width, size_in(object, "hidden_size"));
  OUTCROP_TRY(heads, size_in(object, "num_attention_heads"));
  OUTCROP_TRY(hidden, size_in(object, "intermediate_size"));
  OUTCROP_TRY(pieces, size_in(object, "vocab_size"));
  OUTCROP_TRY(places, size_in(object, "max_position_embeddings"));
  OUTCROP_TRY(activation, text_in(object, "hidden_act"));
  config = {layers, width, heads, hidden, pieces, places, std::nullopt, std::nullopt, std::nullopt};
  if (!activation.empty()) {
    const auto known = activation_from(activation);
    if (!known) return fail(ErrorCode::unsupported, "hidden_act: " + known.error().message());
    config.activation = *known;
  }
  const auto epsilon = object.find("layer_norm_eps");
  if (epsilon == object.end()) return {};
  if (!epsilon->is_number()) return fail(ErrorCode::invalid_data, "layer_norm_eps is no number");
  config.epsilon = epsilon->get<double>();
  return {};
}

Status take_letters(const json& object, PretrainedConfig& config) {
  OUTCROP_TRY(lowered, boolean_in(object, "do_lower_case"));
  OUTCROP_TRY(without_accents, boolean_in(object, "strip_accents"));
  OUTCROP_TRY(ideographs, boolean_in(object, "tokenize_chinese_chars"));
  if (!ideographs.value_or(true)) {
    return fail(ErrorCode::unsupported, "tokenize_chinese_chars is false; each ideograph is a word here");
  }
  if (without_accents && *without_accents != lowered.value_or(true)) {
    return fail(ErrorCode::unsupported, "strip_accents is not what do_lower_case is; accents go with large letters here, or stay");
  }
  if (lowered) config.letters = *lowered ? Letters::lowered : Letters::as_written;
  return {};
}

template <class Take>
Status take_from(const fs::path& file, Take take, PretrainedConfig& config) {
  const auto object = read_object(file);
  const Status taken = object ? take(*object, config) : Status(fail(object.error()));
  if (!taken) return fail(taken.error().context(file.string()));
  return {};
}

}  // namespace

Result<PretrainedConfig> read_pretrained_config(const fs::path& folder) {
  PretrainedConfig config;
  OUTCROP_CHECK(take_from(folder / pretrained_config_file, take_network, config));
  OUTCROP_CHECK(take_from(folder / pretrained_tokenizer_file, take_letters, config));
  return config;
}

}  // namespace outcrop::text
