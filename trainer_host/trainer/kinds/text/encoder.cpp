#include "trainer_host/trainer/kinds/text/encoder.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/text/labelled_texts.hpp"
#include "trainer_host/trainer/models/network_builder.hpp"

namespace outcrop::text {
namespace {

constexpr std::int64_t largest_size = 1'000'000;  // of what weights may say
constexpr float spread_of_embeddings = 0.02F;     // BERT's
constexpr const char* lowered = "lowered";
constexpr const char* as_written = "as written";

Result<TextShape> read_shape(const nlohmann::json& json) {
  TextShape shape;
  const auto size = [&](const char* key) { return json_integer(json.at(key), key, 1, largest_size); };
  OUTCROP_TRY(layers, size("layers"));
  OUTCROP_TRY(width, size("width"));
  OUTCROP_TRY(heads, size("heads"));
  OUTCROP_TRY(hidden, size("hidden"));
  OUTCROP_TRY(length, size("length"));
  OUTCROP_TRY(pooling, pooling_from(json.at("pooling").get<std::string>()));
  OUTCROP_TRY(activation, activation_from(json.value("activation", name_of(Activation::relu))));
  const double epsilon = json.value("epsilon", EncoderShape().epsilon);
  shape.encoder = {layers, width, heads, hidden, length, pooling, activation, epsilon};
  OUTCROP_CHECK(check_shape(shape.encoder));
  const auto letters = json.at("letters").get<std::string>();
  if (letters != lowered && letters != as_written) {
    return fail(ErrorCode::invalid_data, "letters are '" + letters + "'; they are 'lowered' or 'as written'");
  }
  shape.letters = letters == lowered ? Letters::lowered : Letters::as_written;
  shape.pieces = json.at("vocabulary").get<std::vector<std::string>>();
  shape.classes = json.at("classes").get<std::vector<std::string>>();
  OUTCROP_TRY(vocabulary, Vocabulary::parse(to_text(shape.pieces)));
  if (shape.classes.size() < 2 || shape.classes.size() > most_classes) {
    return fail(ErrorCode::invalid_data, std::to_string(shape.classes.size()) + " classes");
  }
  return shape;
}

std::string with_words(std::string text, const std::vector<std::pair<std::string, std::string>>& words) {
  for (const auto& [word, by] : words) {
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size())) {
      text.replace(at, word.size(), by);
    }
  }
  return text;
}

constexpr const char* begin_source = R"(
def forward(self, ids: Tensor) -> Tensor:
    rows = ids.size(0)
    length = ids.size(1)
    filling = torch.eq(ids, PADDING)
    unseen = filling.unsqueeze(1).unsqueeze(1)
    x = self.norm.forward(self.pieces.forward(ids) + self.places.forward(torch.arange(length)))
)";

// Filling gets no share of attention: e to the power of it is 0 in float.
constexpr const char* layer_source = R"(
    query = self.layerI_query.forward(x).reshape([rows, length, HEADS, SIZE]).transpose(1, 2)
    key = self.layerI_key.forward(x).reshape([rows, length, HEADS, SIZE]).transpose(1, 2)
    value = self.layerI_value.forward(x).reshape([rows, length, HEADS, SIZE]).transpose(1, 2)
    likeness = torch.matmul(query, key.transpose(-2, -1)) * SCALE
    shares = torch.softmax(likeness.masked_fill(unseen, -10000.0), -1)
    seen = torch.matmul(shares, value).transpose(1, 2).reshape([rows, length, WIDTH])
    x = self.layerI_attention_norm.forward(x + self.layerI_attention.forward(seen))
    x = self.layerI_norm.forward(x + self.layerI_down.forward(torch.ACTIVATION(self.layerI_up.forward(x))))
)";

// A product of matrices: what is multiplied element by element would get codes of its own in int8.
constexpr const char* mean_source = R"(
    kept = torch.logical_not(filling).to(6)
    shares_of_mean = kept / kept.sum(1, True).clamp_min(1.0)
    return self.classes.forward(torch.matmul(shares_of_mean.unsqueeze(1), x).squeeze(1))
)";

constexpr const char* first_source = R"(
    return self.classes.forward(x.select(1, 0))
)";

std::string source_of(const EncoderShape& shape, std::int64_t padding) {
  const std::int64_t size = shape.width / shape.heads;
  std::string source = with_words(begin_source, {{"PADDING", std::to_string(padding)}});
  for (std::int64_t layer = 1; layer <= shape.layers; ++layer) {
    source += with_words(layer_source, {{"layerI", "layer" + std::to_string(layer)},
                                        {"HEADS", std::to_string(shape.heads)},
                                        {"SIZE", std::to_string(size)},
                                        {"WIDTH", std::to_string(shape.width)},
                                        {"ACTIVATION", name_of(shape.activation)},
                                        {"SCALE", std::to_string(1.0 / std::sqrt(static_cast<double>(size)))}});
  }
  return source + (shape.pooling == Pooling::mean ? mean_source : first_source);
}

}  // namespace

std::string name_of(Pooling pooling) {
  return pooling == Pooling::mean ? "mean" : "first";
}

Result<Pooling> pooling_from(const std::string& name) {
  for (const Pooling pooling : {Pooling::mean, Pooling::first}) {
    if (name == name_of(pooling)) return pooling;
  }
  return fail(ErrorCode::invalid_argument, "'" + name + "' is no way to sum a text up: \"mean\" or \"first\"");
}

std::string name_of(Activation activation) {
  return activation == Activation::relu ? "relu" : "gelu";
}

Result<Activation> activation_from(const std::string& name) {
  for (const Activation activation : {Activation::relu, Activation::gelu}) {
    if (name == name_of(activation)) return activation;
  }
  return fail(ErrorCode::invalid_argument, "'" + name + "' is no activation of an encoder: \"relu\" or \"gelu\"");
}

Status check_shape(const EncoderShape& shape) {
  if (!(shape.epsilon > 0.0 && shape.epsilon <= largest_epsilon)) {
    return fail(ErrorCode::invalid_argument, "an epsilon of layer norms is more than 0 and at most 0.1");
  }
  if (shape.width % shape.heads == 0) return {};
  return fail(ErrorCode::invalid_argument, "model.heads is " + std::to_string(shape.heads) + ", which does not divide model.width, " +
                                               std::to_string(shape.width) + ": each head takes an equal share of it");
}

std::string to_json(const TextShape& shape) {
  const EncoderShape& encoder = shape.encoder;
  nlohmann::json json{{"layers", encoder.layers},
                      {"width", encoder.width},
                      {"heads", encoder.heads},
                      {"hidden", encoder.hidden},
                      {"length", encoder.length},
                      {"pooling", name_of(encoder.pooling)},
                      {"letters", shape.letters == Letters::lowered ? lowered : as_written},
                      {"vocabulary", shape.pieces},
                      {"classes", shape.classes}};
  // Runs of before these were there know themselves by the same text.
  if (encoder.activation != Activation::relu) json["activation"] = name_of(encoder.activation);
  if (encoder.epsilon != EncoderShape().epsilon) json["epsilon"] = encoder.epsilon;
  return json_text(json);
}

Result<TextShape> shape_from_json(const std::string& text) {
  try {
    auto shape = read_shape(nlohmann::json::parse(text));
    if (shape) return shape;
    return fail(ErrorCode::invalid_data, "it does not describe a model of texts: " + shape.error().message());
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, std::string("it does not describe a model of texts: ") + error.what());
  }
}

torch::jit::Module make_encoder(const EncoderShape& shape, std::int64_t pieces, std::int64_t padding,
                                std::int64_t classes, std::uint64_t seed) {
  // A generator of its own: the global one belongs to the program.
  models::NetworkBuilder builder("__torch__.outcrop.TextEncoder", at::detail::createCPUGenerator(seed));
  builder.embedding("pieces", pieces, shape.width);
  builder.embedding("places", shape.length, shape.width);
  builder.layer_norm("norm", shape.width, shape.epsilon);
  for (std::int64_t layer = 1; layer <= shape.layers; ++layer) {
    const std::string name = "layer" + std::to_string(layer) + "_";
    for (const char* projection : {"query", "key", "value", "attention"}) {
      builder.linear(name + projection, shape.width, shape.width);
    }
    builder.layer_norm(name + "attention_norm", shape.width, shape.epsilon);
    builder.linear(name + "up", shape.width, shape.hidden, /*before_relu=*/true);
    builder.linear(name + "down", shape.hidden, shape.width);
    builder.layer_norm(name + "norm", shape.width, shape.epsilon);
  }
  builder.linear("classes", shape.width, classes);
  torch::jit::Module encoder = builder.finish(source_of(shape, padding));
  const torch::NoGradGuard no_gradient;
  for (const char* table : {"pieces", "places"}) {
    encoder.attr(table).toModule().attr("weight").toTensor().mul_(spread_of_embeddings);
  }
  return encoder;
}

}  // namespace outcrop::text
