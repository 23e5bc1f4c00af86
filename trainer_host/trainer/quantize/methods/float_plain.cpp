#include "trainer_host/trainer/quantize/methods/float_plain.hpp"

#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

class FloatPlain final : public Method {
 public:
  [[nodiscard]] std::string_view name() const override { return "float"; }
  [[nodiscard]] Result<Plan> plan(const kinds::Export&) const override {
    return Plan{.variant = "", .method = "float", .observer = "", .layers = {}};
  }
  [[nodiscard]] Result<Applied> apply(const Plan&, const kinds::Export& model) const override {
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      applied.forms.push_back({reload(fold_batch_norm(part.network)), std::nullopt});
    }
    return applied;
  }
};

}  // namespace

std::shared_ptr<const Method> make_float_plain() {
  return std::make_shared<FloatPlain>();
}

}  // namespace outcrop::quantize
