#include "trainer_host/trainer/kinds/classifier/classifier_kind.hpp"

#include <set>
#include <sstream>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"

namespace outcrop::classifier {
namespace {

constexpr std::int64_t largest_width = 1024;   // channels
constexpr std::int64_t largest_hidden = 16384;
constexpr std::size_t most_widths = 8;
constexpr std::size_t most_names = 256;
constexpr std::int64_t largest_shift = 16;

constexpr const char* help_text = R"(kind = "classifier": which of some classes an image is of
  [model]
  widths = [32, 64]         # channels of each 3x3 convolution; behind each, the image is halved
  hidden = 1900             # values of the layer that sees the whole image and most weights are in
  [data]
  train = "data"            # a folder, or ["a", "b"], with the files of MNIST's format or of CIFAR:
                            #   train-images-idx3-ubyte, train-labels-idx1-ubyte (also with .gz)
                            #   data_batch_1.bin, … (CIFAR-10); train.bin (CIFAR-100)
                            # With neither held_out nor validation, what the same folder has to test
                            # with (t10k-…, test_batch.bin, test.bin) is held out; of a folder of
                            # validation, too, or, where it has none, what it has to train on.
  #classes = ["cat", "dog"] # names, in the order of the labels; default: the data's, or numbers
  [train]
  mirror = true             # half of the images left to right; false where that changes the class
  shift = 2                 # rows and columns that each image is moved by at most
  label_smoothing = 0.1     # 0 to 0.9: share of each answer that belongs to all classes alike)";

std::vector<std::string> read_classes(platform::TomlReader::Table& data) {
  auto names = data.texts("classes", std::vector<std::string>(), most_names);
  if (std::set<std::string>(names.begin(), names.end()).size() < names.size()) {
    data.refuse("classes", "a name stands there twice; each class needs one of its own");
  }
  return names;
}

class ClassifierKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "classifier"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<ClassifierRecipe>();
    auto& [model, data, train] = tables;
    recipe->widths = model.integers("widths", recipe->widths, 1, largest_width, most_widths);
    recipe->hidden = model.integer("hidden", recipe->hidden, 1, largest_hidden);
    recipe->data = kinds::read_places(data);
    recipe->classes = read_classes(data);
    recipe->mirror = train.boolean("mirror", recipe->mirror);
    recipe->shift = train.integer("shift", recipe->shift, 0, largest_shift);
    recipe->label_smoothing = train.number("label_smoothing", recipe->label_smoothing, 0.0, 0.9);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(
      const std::string& shape) const override {
    OUTCROP_TRY(known, shape_from_json(shape));
    auto recipe = std::make_unique<ClassifierRecipe>();
    recipe->widths = known.widths;
    recipe->hidden = known.hidden;
    recipe->known = std::move(known);
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<ClassifierKind>();
}

std::string ClassifierRecipe::fingerprint() const {
  std::vector<std::string> channels;
  for (const std::int64_t width : widths) channels.push_back(std::to_string(width));
  std::ostringstream text;
  text.precision(17);
  text << std::boolalpha << "model.widths = " << join(channels) << "\nmodel.hidden = " << hidden
       << "\ndata.classes = " << join(classes) << "\ntrain.mirror = " << mirror
       << "\ntrain.shift = " << shift << "\ntrain.label_smoothing = " << label_smoothing << "\n";
  return text.str();
}

Result<std::unique_ptr<kinds::Task>> ClassifierRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(images, open_images(data, classes, known));
  ClassifierShape shape{images.training.shape, images.classes, widths, hidden};
  OUTCROP_CHECK(check_shape(shape));
  return std::unique_ptr<kinds::Task>(
      std::make_unique<ClassifierTask>(*this, std::move(shape), std::move(images), seed));
}

}  // namespace outcrop::classifier
