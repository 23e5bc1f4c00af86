#include "trainer_host/trainer/kinds/text/pretrained_encoder.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/trainer/kinds/text/pretrained_config.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"
#include "trainer_host/trainer/weights/weights_file.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using Shape = std::vector<std::int64_t>;

constexpr double epsilon_of_bert = 1e-12;
constexpr const char* pieces_name = "embeddings.word_embeddings.weight";
constexpr const char* places_name = "embeddings.position_embeddings.weight";
constexpr const char* types_name = "embeddings.token_type_embeddings.weight";
constexpr const char* layers_name = "encoder.layer.";

std::string layer_name(std::int64_t layer) {
  return layers_name + std::to_string(layer) + ".";
}

std::string in_words(const Shape& shape) {
  std::vector<std::string> sizes;
  for (const std::int64_t size : shape) sizes.push_back(std::to_string(size));
  return "[" + join(sizes) + "]";
}

bool is_passed_over(std::string_view name) {
  return name.starts_with("pooler.") || name.starts_with("cls.") || name == "embeddings.position_ids";
}

// "bert.x.LayerNorm.gamma" is "x.LayerNorm.weight".
std::string plain_name(std::string name) {
  constexpr std::string_view prefix = "bert.";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> of_norms{
      {{"LayerNorm.gamma", "LayerNorm.weight"}, {"LayerNorm.beta", "LayerNorm.bias"}}};
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  for (const auto& [theirs, plain] : of_norms) {
    if (name.ends_with(theirs)) name.replace(name.size() - theirs.size(), theirs.size(), plain);
  }
  return name;
}

Result<weights::Weights> with_plain_names(weights::Weights tensors) {
  weights::Weights plain;
  for (auto& [name, tensor] : tensors) {
    const std::string other = plain_name(name);
    if (!is_passed_over(other) && !plain.emplace(other, std::move(tensor)).second) {
      return fail(ErrorCode::invalid_data, "it has the tensor '" + other + "' twice, by two names");
    }
  }
  return plain;
}

// One side of a tensor's shape; nothing where it is not there or has no such side.
std::optional<std::int64_t> side(const weights::Weights& tensors, const std::string& name, std::size_t place) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.shape.size() <= place) return std::nullopt;
  return found->second.shape[place];
}

std::optional<std::int64_t> layers_in(const weights::Weights& tensors) {
  std::int64_t layers = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(layers_name)) continue;
    const auto behind = std::string_view(name).substr(std::string_view(layers_name).size());
    const auto number = read_number<std::int64_t>(behind.substr(0, behind.find('.')));
    if (number && *number >= 0 && *number < most_pretrained_layers) layers = std::max(layers, *number + 1);
  }
  return layers > 0 ? std::optional(layers) : std::nullopt;
}

std::string in_words(std::int64_t size) {
  return std::to_string(size);
}

std::string in_words(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

std::string in_words(Activation activation) {
  return "'" + name_of(activation) + "'";
}

template <class Value>
Result<std::optional<Value>> said(const char* key, const std::optional<Value>& wanted, const std::optional<Value>& in_file) {
  if (!wanted || !in_file || *wanted == *in_file) return wanted ? wanted : in_file;
  return fail(ErrorCode::invalid_argument, std::string("model.") + key + " is " + in_words(*wanted) + ", and " +
                                               pretrained_config_file + " beside the weights has " + in_words(*in_file));
}

struct Sizes {
  EncoderShape encoder;
  std::int64_t pieces = 0;
  std::int64_t places = 0;
  std::int64_t types = 0;
};

// Where nobody says a size and no tensor shows it, 1: the tensor is then named as missing.
Result<Sizes> sizes_of(const weights::Weights& tensors, const WantedEncoder& wanted, const PretrainedConfig& config) {
  OUTCROP_TRY(layers, said("layers", wanted.layers, config.layers));
  OUTCROP_TRY(width, said("width", wanted.width, config.width));
  OUTCROP_TRY(heads, said("heads", wanted.heads, config.heads));
  OUTCROP_TRY(hidden, said("hidden", wanted.hidden, config.hidden));
  OUTCROP_TRY(activation, said("activation", wanted.activation, config.activation));
  OUTCROP_TRY(epsilon, said("epsilon", wanted.epsilon, config.epsilon));
  if (!heads) {
    return fail(ErrorCode::invalid_argument, std::string("model.heads is missing: no tensor shows how many heads attention has, and ") +
                                                 "there is no " + pretrained_config_file + " beside the weights that says it");
  }
  const auto size = [&](const std::optional<std::int64_t>& known, const std::string& name, std::size_t place) {
    return known ? *known : side(tensors, name, place).value_or(1);
  };
  Sizes sizes;
  sizes.encoder = {layers ? *layers : layers_in(tensors).value_or(1),
                   size(width, pieces_name, 1),
                   *heads,
                   size(hidden, layer_name(0) + "intermediate.dense.weight", 0),
                   wanted.length,
                   wanted.pooling,
                   activation.value_or(Activation::gelu),
                   epsilon.value_or(epsilon_of_bert)};
  sizes.pieces = size(config.pieces, pieces_name, 0);
  sizes.places = size(config.places, places_name, 0);
  sizes.types = std::max<std::int64_t>(1, side(tensors, types_name, 0).value_or(1));
  OUTCROP_CHECK(check_shape(sizes.encoder));
  return sizes;
}

// A tensor as Hugging Face names it, and what it is here; "" for what is folded into another one.
struct Wanted {
  std::string theirs;
  Shape shape;
  std::string ours;
};

void want_layer(std::vector<Wanted>& all, const std::string& theirs, const std::string& ours, const Shape& weight) {
  all.push_back({theirs + ".weight", weight, ours + ".weight"});
  all.push_back({theirs + ".bias", {weight.front()}, ours + ".bias"});
}

std::vector<Wanted> all_wanted(const Sizes& sizes) {
  const auto& [layers, width, heads, hidden, length, pooling, activation, epsilon] = sizes.encoder;
  std::vector<Wanted> all{{pieces_name, {sizes.pieces, width}, "pieces.weight"},
                          {places_name, {sizes.places, width}, "places.weight"},
                          {types_name, {sizes.types, width}, ""}};
  want_layer(all, "embeddings.LayerNorm", "norm", {width});
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const std::string theirs = layer_name(layer);
    const std::string ours = "layer" + std::to_string(layer + 1) + "_";
    for (const char* projection : {"query", "key", "value"}) {
      want_layer(all, theirs + "attention.self." + projection, ours + projection, {width, width});
    }
    want_layer(all, theirs + "attention.output.dense", ours + "attention", {width, width});
    want_layer(all, theirs + "attention.output.LayerNorm", ours + "attention_norm", {width});
    want_layer(all, theirs + "intermediate.dense", ours + "up", {hidden, width});
    want_layer(all, theirs + "output.dense", ours + "down", {width, hidden});
    want_layer(all, theirs + "output.LayerNorm", ours + "norm", {width});
  }
  return all;
}

Result<torch::Tensor> found(const weights::Weights& tensors, const Wanted& wanted, const EncoderShape& encoder) {
  const auto tensor = tensors.find(wanted.theirs);
  if (tensor == tensors.end()) {
    return fail(ErrorCode::invalid_data, "it has no tensor '" + wanted.theirs + "'; an encoder of " +
                                             std::to_string(encoder.layers) + " layers, " + std::to_string(encoder.width) +
                                             " wide, has it as " + in_words(wanted.shape));
  }
  if (tensor->second.shape != wanted.shape) {
    return fail(ErrorCode::invalid_data, "the tensor '" + wanted.theirs + "' is " + in_words(tensor->second.shape) +
                                             "; expected is " + in_words(wanted.shape));
  }
  if (tensor->second.dtype != runtime::DType::float32) {
    return fail(ErrorCode::invalid_data, "the tensor '" + wanted.theirs + "' holds whole numbers; expected are floats");
  }
  torch::Tensor values = models::torch_tensor(tensor->second);
  if (!values.isfinite().all().item<bool>()) {
    return fail(ErrorCode::invalid_data, "the tensor '" + wanted.theirs + "' holds a value that is not finite");
  }
  return values;
}

Status check_nothing_else(const weights::Weights& tensors, const std::vector<Wanted>& all, const EncoderShape& encoder) {
  std::set<std::string> names;
  for (const Wanted& one : all) names.insert(one.theirs);
  for (const auto& [name, tensor] : tensors) {
    if (names.contains(name)) continue;
    return fail(ErrorCode::invalid_data, "it has a tensor '" + name + "', which an encoder of " +
                                             std::to_string(encoder.layers) + " layers as BERT's has not; expected are embeddings, " +
                                             layer_name(0) + " to " + layer_name(encoder.layers - 1) + ", and what is passed over: "
                                             "pooler., cls., embeddings.position_ids");
  }
  return {};
}

Result<models::NamedTensors> take(const weights::Weights& tensors, const Sizes& sizes) {
  const auto all = all_wanted(sizes);
  models::NamedTensors taken;
  torch::Tensor places;
  for (const Wanted& one : all) {
    OUTCROP_TRY(values, found(tensors, one, sizes.encoder));
    if (one.theirs == places_name) {
      places = values.slice(0, 0, sizes.encoder.length);
    } else if (one.theirs == types_name) {
      taken.emplace_back("places.weight", places + values.select(0, 0));
    } else {
      taken.emplace_back(one.ours, std::move(values));
    }
  }
  OUTCROP_CHECK(check_nothing_else(tensors, all, sizes.encoder));
  return taken;
}

}  // namespace

Result<PretrainedEncoder> read_pretrained(const fs::path& weights, const WantedEncoder& wanted) {
  OUTCROP_TRY(config, read_pretrained_config(weights.parent_path()));
  OUTCROP_TRY(read, weights::read_weights(weights));
  const auto in_file = [&](const Error& error) { return fail(error.context("reading " + weights.string())); };
  const auto tensors = with_plain_names(std::move(read));
  if (!tensors) return in_file(tensors.error());
  const auto sizes = sizes_of(*tensors, wanted, config);
  if (!sizes) return in_file(sizes.error());
  auto taken = take(*tensors, *sizes);
  if (!taken) return in_file(taken.error());
  if (wanted.length > sizes->places) {
    return fail(ErrorCode::invalid_argument, "model.length is " + std::to_string(wanted.length) + ", and " + weights.string() +
                                                 " knows " + std::to_string(sizes->places) + " places of a text");
  }
  return PretrainedEncoder{sizes->encoder, sizes->pieces, config.letters, std::move(*taken)};
}

Status begin_with(const models::NamedTensors& tensors, const torch::jit::Module& network) {
  models::NamedTensors begun;
  for (const auto& target : models::tensors_of(network)) {
    if (!target.first.starts_with("classes.")) begun.push_back(target);
  }
  return models::restore(begun, tensors);
}

std::vector<fs::path> files_of_pretrained(const fs::path& weights) {
  std::vector<fs::path> files{weights};
  for (const char* name : {pretrained_config_file, pretrained_tokenizer_file}) {
    std::error_code ignored;
    if (fs::exists(weights.parent_path() / name, ignored)) files.push_back(weights.parent_path() / name);
  }
  return files;
}

}  // namespace outcrop::text
