#include "trainer_host/trainer/kinds/text/exporting.hpp"

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/takes_texts.hpp"

namespace outcrop::text {
namespace {

using torch::Tensor;

constexpr std::size_t most_calibrated_by = 1000;
constexpr std::int64_t second_golden = 8;  // texts

// An int8 kernel refuses an empty batch: for no texts one of nothing but filling is looked at and dropped, as a float
// network answers no rows.
torch::jit::Module compose(kinds::PartForm form, std::int64_t padding) {
  torch::jit::Module model("__torch__.outcrop.TextClassifier", std::make_shared<torch::jit::CompilationUnit>(),
                           /*shouldMangle=*/true);
  model.register_module("network", std::move(form.module));
  model.register_attribute("training", c10::BoolType::get(), false);
  const std::string answer = "self.network.forward(seen)";
  model.define(R"(
def forward(self, ids: Tensor) -> Tensor:
    rows = ids.size(0)
    seen = ids
    if rows == 0:
        seen = torch.full([1, ids.size(1)], )" + std::to_string(padding) + R"(, dtype=4, layout=None, device=None, pin_memory=False)
    return torch.softmax()" + (form.codes ? "torch.dequantize(" + answer + ")" : answer) + R"(, 1)[:rows]
)");
  return model;
}

std::vector<kinds::FloatPart> parts_besides_layers(bool) {
  return {{"attention", "products of what is computed, and their softmax: finer than 8 bits hold"},
          {"softmax", "probabilities are finer than 8 bits hold"}};
}

}  // namespace

messages::TextInput text_input_of(const TextShape& shape) {
  return {"ids",
          static_cast<std::uint64_t>(shape.encoder.length),
          shape.letters == Letters::as_written,
          to_text(shape.pieces),
          classes::probabilities_output,
          shape.classes};
}

Status check_travels(const TextShape& shape) {
  return kinds::check_travels(text_input_of(shape));
}

kinds::Export make_export(const TextShape& shape, const torch::jit::Module& network, const Vocabulary& vocabulary,
                          const EncodedTexts& training, const EncodedTexts& shown) {
  const auto draws = classes::evenly_chosen(static_cast<std::size_t>(training.size()), most_calibrated_by);
  kinds::Export exported;
  exported.parts = {{"network", network, {chosen(training, draws, 0.0, vocabulary).ids}}};
  exported.compose = [padding = vocabulary.padding()](std::vector<kinds::PartForm> forms) {
    return compose(std::move(forms.at(0)), padding);
  };
  classes::answer_classes(exported,
                          {"ids", messages::TensorType{"int64",
                                                       {"batch", shape.encoder.length},
                                                       "",
                                                       messages::Range{0, static_cast<double>(vocabulary.size() - 1)}}},
                          shape.classes);
  exported.goldens.push_back({"forward", {shown.ids.slice(0, 0, 1).contiguous()}});
  if (shown.size() > 1) {
    exported.goldens.push_back({"forward", {shown.ids.slice(0, 1, 1 + second_golden).contiguous()}});
  }
  exported.beside = parts_besides_layers;
  return exported;
}

}  // namespace outcrop::text
