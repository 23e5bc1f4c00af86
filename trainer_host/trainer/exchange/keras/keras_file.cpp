#include "trainer_host/trainer/exchange/keras/keras_file.hpp"

#include <cctype>
#include <map>

#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/exchange/keras/archive.hpp"
#include "trainer_host/trainer/exchange/keras/sequential.hpp"
#include "trainer_host/trainer/exchange/keras/weights_file.hpp"

namespace outcrop::exchange {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* written_for = "3.0.0";

Json with_batch(const Shape& shape) {
  Json sizes = Json::array({nullptr});
  for (const std::int64_t size : shape) sizes.push_back(size);
  return sizes;
}

Json object(const char* module, const std::string& class_name, Json config) {
  return {{"module", module}, {"class_name", class_name}, {"config", std::move(config)}, {"registered_name", nullptr}};
}

Json config_of(const KerasSequential& model, const std::string& name) {
  Json layers = Json::array();
  layers.push_back(object("keras.layers", "InputLayer", {{"batch_shape", with_batch(model.input)}, {"dtype", "float32"}, {"name", "input"}}));
  for (const KerasLayer& layer : model.layers) {
    Json config{{"name", layer.name}, {"trainable", true}, {"dtype", "float32"}};
    config.update(layer.config);
    layers.push_back(object("keras.layers", layer.class_name, std::move(config)));
  }
  Json model_config{{"name", name}, {"trainable", true}, {"layers", std::move(layers)}, {"build_input_shape", with_batch(model.input)}};
  Json config = object("keras", "Sequential", std::move(model_config));
  config["build_config"] = {{"input_shape", with_batch(model.input)}};
  return config;
}

// As Keras names groups of its files by classes: "Conv2D" is conv2d, "MaxPooling2D" max_pooling2d, "ReLU" re_lu.
std::string in_snake_case(const std::string& name) {
  const auto upper = [&](std::size_t i) { return i < name.size() && std::isupper(static_cast<unsigned char>(name[i])) != 0; };
  const auto lower = [&](std::size_t i) { return i < name.size() && std::islower(static_cast<unsigned char>(name[i])) != 0; };
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (upper(i) && i > 0 && (lower(i - 1) || lower(i + 1))) text += '_';
    text += static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
  }
  return text;
}

std::vector<WeightGroup> weights_of(const KerasSequential& model) {
  std::map<std::string, int> there;
  std::vector<WeightGroup> groups;
  for (const KerasLayer& layer : model.layers) {
    std::string name = in_snake_case(layer.class_name);
    const int before = there[name]++;
    if (before > 0) name += "_" + std::to_string(before);
    if (!layer.weights.empty()) groups.push_back({"layers/" + name + "/vars", layer.weights});
  }
  return groups;
}

// Of a model's name what may be one in every backend.
std::string plain(const std::string& name) {
  std::string text;
  for (const char c : name) text += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return text.empty() || std::isdigit(static_cast<unsigned char>(text.front())) != 0 ? "model_" + text : text;
}

}  // namespace

Result<Bytes> to_keras(const Graph& graph) {
  OUTCROP_TRY(model, to_sequential(graph));
  OUTCROP_TRY(weights, to_hdf5(weights_of(model)));
  const auto bytes = [](const std::string& text) { return Bytes(as_bytes(text).begin(), as_bytes(text).end()); };
  return to_archive({{"metadata.json", bytes(json_text(Json{{"keras_version", written_for}, {"date_saved", ""}}))},
                     {"config.json", bytes(json_text(config_of(model, plain(graph.name))))},
                     {"model.weights.h5", std::move(weights)}});
}

}  // namespace outcrop::exchange
