#include "trainer_host/trainer/kinds/classifier/network.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <array>
#include <nlohmann/json.hpp>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::classifier {
namespace {

constexpr std::int64_t largest_size = 100'000;  // of what weights may say
constexpr std::size_t most_classes = 256;       // labels are bytes
constexpr std::int64_t halving = 2;

Result<std::int64_t> size_in(const nlohmann::json& json, const char* key) {
  return json_integer(json.at(key), key, 1, largest_size);
}

Result<ClassifierShape> read_shape(const nlohmann::json& json) {
  ClassifierShape shape;
  OUTCROP_TRY(channels, size_in(json, "channels"));
  OUTCROP_TRY(rows, size_in(json, "rows"));
  OUTCROP_TRY(columns, size_in(json, "columns"));
  OUTCROP_TRY(hidden, size_in(json, "hidden"));
  shape.images = {static_cast<std::size_t>(channels), static_cast<std::size_t>(rows),
                  static_cast<std::size_t>(columns)};
  shape.hidden = hidden;
  shape.widths.clear();
  for (const auto& width : json.at("widths")) {
    OUTCROP_TRY(channels_of_it, json_integer(width, "widths", 1, largest_size));
    shape.widths.push_back(channels_of_it);
  }
  shape.classes = json.at("classes").get<std::vector<std::string>>();
  OUTCROP_CHECK(check_shape(shape));
  return shape;
}

}  // namespace

Status check_shape(const ClassifierShape& shape) {
  auto rows = static_cast<std::int64_t>(shape.images.rows);
  auto columns = static_cast<std::int64_t>(shape.images.columns);
  std::size_t halved = 0;
  for (; rows >= halving && columns >= halving; ++halved) rows /= halving, columns /= halving;
  if (shape.widths.empty() || shape.widths.size() > halved) {
    return fail(ErrorCode::invalid_argument,
                "model.widths has " + std::to_string(shape.widths.size()) + ", and images of " +
                    to_string(shape.images) + " can be halved " + std::to_string(halved) +
                    " times: give 1 to " + std::to_string(halved) + " widths");
  }
  if (shape.classes.size() < 2 || shape.classes.size() > most_classes) {
    return fail(ErrorCode::invalid_argument, std::to_string(shape.classes.size()) +
                                                 " classes; a classifier tells 2 to " +
                                                 std::to_string(most_classes) + " apart");
  }
  return {};
}

std::string to_json(const ClassifierShape& shape) {
  return json_text(nlohmann::json{{"channels", shape.images.channels},
                                  {"rows", shape.images.rows},
                                  {"columns", shape.images.columns},
                                  {"classes", shape.classes},
                                  {"widths", shape.widths},
                                  {"hidden", shape.hidden}});
}

Result<ClassifierShape> shape_from_json(const std::string& text) {
  try {
    auto shape = read_shape(nlohmann::json::parse(text));
    if (shape) return shape;
    return fail(ErrorCode::invalid_data,
                "it does not describe a classifier: " + shape.error().message());
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                std::string("it does not describe a classifier: ") + error.what());
  }
}

std::vector<models::Layer> network_layers(const ClassifierShape& shape) {
  std::vector<models::Layer> layers;
  auto channels = static_cast<std::int64_t>(shape.images.channels);
  std::array<std::int64_t, 2> size{static_cast<std::int64_t>(shape.images.rows),
                                   static_cast<std::int64_t>(shape.images.columns)};
  for (const std::int64_t width : shape.widths) {
    layers.push_back({.name = "conv" + std::to_string(layers.size() + 1),
                      .in_channels = channels,
                      .out_channels = width,
                      .batch_norm = true,
                      .pool = halving});
    channels = width;
    size = layers.back().output_size(size);
  }
  layers.push_back({.name = "hidden",
                    .in_channels = channels,
                    .out_channels = shape.hidden,
                    .kernel = size,
                    .padding = {0, 0},
                    .batch_norm = true});
  layers.push_back({.name = "classes",
                    .in_channels = shape.hidden,
                    .out_channels = static_cast<std::int64_t>(shape.classes.size()),
                    .kernel = {1, 1},
                    .padding = {0, 0},
                    .relu = false});
  return layers;
}

std::set<std::string> whole_layers() {
  return {"hidden", "classes"};
}

torch::jit::Module make_network(const ClassifierShape& shape, std::uint64_t seed) {
  // A generator of its own: the global one belongs to the program.
  return models::build_network("__torch__.outcrop.Classifier", network_layers(shape),
                               at::detail::createCPUGenerator(seed));
}

}  // namespace outcrop::classifier
