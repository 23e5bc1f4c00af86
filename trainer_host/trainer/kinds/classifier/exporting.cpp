#include "trainer_host/trainer/kinds/classifier/exporting.hpp"

#include <algorithm>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/kinds/classifier/pixels.hpp"

namespace outcrop::classifier {
namespace {

using torch::Tensor;

constexpr std::size_t most_calibrated_by = 1000;
constexpr std::size_t second_golden = 8;  // images
constexpr std::size_t longest_fact = 256;  // bytes, as SCHEMA.md has it

// An int8 kernel refuses an empty batch: for no images one is looked at and dropped, as a float
// network answers no rows.
torch::jit::Module compose(kinds::PartForm form, const torch::jit::Module& pixel_scale) {
  torch::jit::Module model("__torch__.outcrop.ImageClassifier",
                           std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  model.register_module("network", std::move(form.module));
  model.register_buffer("mean", pixel_scale.attr("mean").toTensor().clone());
  model.register_buffer("scale", pixel_scale.attr("scale").toTensor().clone());
  model.register_attribute("training", c10::BoolType::get(), false);
  const std::string answer = "self.network.forward((seen - self.mean) * self.scale)";
  model.define(R"(
def forward(self, images: Tensor) -> Tensor:
    rows = images.size(0)
    seen = images
    if rows == 0:
        seen = torch.zeros([1, images.size(1), images.size(2), images.size(3)], dtype=6, layout=None, device=None, pin_memory=False)
    logits = )" + (form.codes ? "torch.dequantize(" + answer + ")" : answer) + R"(
    return torch.softmax(torch.reshape(logits, [logits.size(0), -1]), 1)[:rows]
)");
  return model;
}

messages::Signature signature_of(const ClassifierShape& shape) {
  const messages::TensorType images{"float32",
                                    {"batch", static_cast<std::int64_t>(shape.images.channels),
                                     static_cast<std::int64_t>(shape.images.rows),
                                     static_cast<std::int64_t>(shape.images.columns)},
                                    "",
                                    messages::Range{0, 255}};
  const messages::TensorType probabilities{
      "float32", {"batch", static_cast<std::int64_t>(shape.classes.size())}, "",
      messages::Range{0, 1}};
  return {"forward",
          {{"forward",
            {{"images", images}},
            {{probabilities_output, probabilities, messages::Score::label}}}}};
}

// The names of the classes where they fit, else what can be said of them.
std::string classes_in_words(const std::vector<std::string>& classes) {
  std::string names = join(classes);
  if (names.size() <= longest_fact) return names;
  names = std::to_string(classes.size()) + ", from " + classes.front() + " to " + classes.back();
  return names.size() <= longest_fact ? names : std::to_string(classes.size());
}

// The share of rows whose largest value stands in the same place.
double same_class(const std::string&, const Tensor& truth, const Tensor& other) {
  return (truth.argmax(1) == other.argmax(1)).to(torch::kDouble).mean().item<double>();
}

std::vector<kinds::FloatPart> parts_besides_layers(bool) {
  return {{"pixels", "element by element: mean and spread of each channel"},
          {"softmax", "probabilities are finer than 8 bits hold"}};
}

}  // namespace

kinds::Export make_export(const ClassifierShape& shape, const torch::jit::Module& network,
                          const torch::jit::Module& pixel_scale,
                          const data::LabelledImages& training, const data::LabelledImages& shown) {
  const auto draws = evenly_chosen(training.size(), most_calibrated_by);
  kinds::Export exported;
  exported.parts = {{"network", network, {load_batch(training, draws, pixel_scale, 0).images}}};
  exported.compose = [pixel_scale](std::vector<kinds::PartForm> forms) {
    return compose(std::move(forms.at(0)), pixel_scale);
  };
  exported.signature = signature_of(shape);
  exported.goldens.push_back({"forward", {raw_images(shown, 0, 1)}});
  if (shown.size() > 1) {
    const std::size_t more = std::min(second_golden, shown.size() - 1);
    exported.goldens.push_back({"forward", {raw_images(shown, 1, more)}});
  }
  exported.bounds = {{probabilities_output, {{1e-3, 1e-2}, {0.1, 0.9}, {1e-3, 2e-2}}}};
  exported.about = {{"classes", classes_in_words(shape.classes)}};
  exported.likeness_name = "same class";
  exported.likeness = same_class;
  exported.beside = parts_besides_layers;
  return exported;
}

}  // namespace outcrop::classifier
