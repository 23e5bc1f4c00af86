#include "trainer_host/trainer/kinds/classifier/exporting.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classifier/pixels.hpp"

namespace outcrop::classifier {
namespace {

constexpr std::size_t most_calibrated_by = 1000;
constexpr std::size_t second_golden = 8;  // images

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

messages::Input images_of(const ClassifierShape& shape) {
  return {"images", messages::TensorType{"float32",
                                         {"batch", static_cast<std::int64_t>(shape.images.channels),
                                          static_cast<std::int64_t>(shape.images.rows),
                                          static_cast<std::int64_t>(shape.images.columns)},
                                         "",
                                         messages::Range{0, 255}}};
}

std::vector<kinds::FloatPart> parts_besides_layers(bool) {
  return {{"pixels", "element by element: mean and spread of each channel"},
          {"softmax", "probabilities are finer than 8 bits hold"}};
}

}  // namespace

kinds::Export make_export(const ClassifierShape& shape, const torch::jit::Module& network,
                          const torch::jit::Module& pixel_scale,
                          const data::LabelledImages& training, const data::LabelledImages& shown) {
  const auto draws = classes::evenly_chosen(training.size(), most_calibrated_by);
  kinds::Export exported;
  exported.parts = {{"network", network, {load_batch(training, draws, pixel_scale, 0).images}}};
  exported.compose = [pixel_scale](std::vector<kinds::PartForm> forms) {
    return compose(std::move(forms.at(0)), pixel_scale);
  };
  classes::answer_classes(exported, images_of(shape), shape.classes);
  exported.goldens.push_back({"forward", {raw_images(shown, 0, 1)}});
  if (shown.size() > 1) {
    const std::size_t more = std::min(second_golden, shown.size() - 1);
    exported.goldens.push_back({"forward", {raw_images(shown, 1, more)}});
  }
  exported.beside = parts_besides_layers;
  return exported;
}

}  // namespace outcrop::classifier
