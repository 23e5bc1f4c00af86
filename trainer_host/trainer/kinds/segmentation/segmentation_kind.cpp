#include "trainer_host/trainer/kinds/segmentation/segmentation_kind.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/json_integer.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_task.hpp"

namespace outcrop::segmentation {
namespace {

constexpr std::int64_t largest_width = 256;  // channels
constexpr std::size_t most_classes = 32;

constexpr const char* help_text = R"(kind = "segmentation": what each cell of a velocity map is, from it and its gathers
  [model]
  width = 16                # channels at full resolution; twice and four times as many below
  [data]
  train = "data"            # a folder with labels (outcrop synth --labels makes one), or ["a", "b"]
  classes = ["layer 1", "layer 2", "layer 3", "layer 4", "fault zone"]   # names of labels 0, 1, …
  [train]
  flip = true               # mirror half of the samples)";

class SegmentationKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "segmentation"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<SegmentationRecipe>();
    auto& [model, data, train] = tables;
    recipe->shape.width = model.integer("width", recipe->shape.width, 1, largest_width);
    recipe->data = kinds::read_places(data);
    recipe->classes = data.texts("classes", recipe->classes, most_classes);
    if (recipe->classes.size() < 2) data.refuse("classes", "at least two are needed");
    recipe->shape.classes = static_cast<std::int64_t>(recipe->classes.size());
    recipe->flip = train.boolean("flip", recipe->flip);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(
      const std::string& shape) const override {
    auto recipe = std::make_unique<SegmentationRecipe>();
    try {
      const auto json = nlohmann::json::parse(shape);
      OUTCROP_TRY(width, json_integer(json.at("width"), "width", 1, largest_width));
      recipe->shape.width = width;
      recipe->classes = json.at("classes").get<std::vector<std::string>>();
      recipe->shape.classes = static_cast<std::int64_t>(recipe->classes.size());
      if (recipe->classes.size() < 2 || recipe->classes.size() > most_classes) {
        return fail(ErrorCode::invalid_data, "2 to 32 classes are needed");
      }
      OUTCROP_TRY(learned, earth::kept_geometry(json));
      recipe->geometry = std::move(learned);
    } catch (const std::exception& error) {
      return fail(ErrorCode::invalid_data,
                  std::string("it does not describe a segmentation: ") + error.what());
    }
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<SegmentationKind>();
}

SegmentationRecipe::SegmentationRecipe() {
  for (std::size_t i = 0; i < data::cell::classes; ++i) {
    classes.emplace_back(data::cell::name(static_cast<std::int64_t>(i)));
  }
  shape.classes = static_cast<std::int64_t>(classes.size());
}

std::string SegmentationRecipe::fingerprint() const {
  std::ostringstream text;
  text << std::boolalpha << "model.width = " << shape.width << "\ndata.classes =";
  for (const std::string& name : classes) text << " '" << name << "'";
  text << "\ntrain.flip = " << flip << "\n";
  return text.str();
}

Result<std::unique_ptr<kinds::Task>> SegmentationRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(samples, open_labelled(data, shape.classes, geometry));
  SegmentationRecipe sized = *this;
  sized.shape.size = {static_cast<std::int64_t>(samples.geometry.depth),
                      static_cast<std::int64_t>(samples.geometry.width)};
  return std::unique_ptr<kinds::Task>(
      std::make_unique<SegmentationTask>(sized, std::move(samples), seed));
}

}  // namespace outcrop::segmentation
