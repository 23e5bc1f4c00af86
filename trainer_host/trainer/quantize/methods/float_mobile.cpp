#include "trainer_host/trainer/quantize/methods/float_mobile.hpp"

#include <torch/csrc/jit/passes/xnnpack_rewrite.h>

#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

// Each part by itself: optimizing the composed module would pack every weight once for each method
// that uses it.
class FloatMobile final : public Method {
 public:
  [[nodiscard]] std::string_view name() const override { return "float-mobile"; }
  [[nodiscard]] Result<Plan> plan(const kinds::Export&) const override {
    return Plan{.variant = "", .method = "float-mobile", .observer = "", .layers = {}};
  }
  [[nodiscard]] Result<Applied> apply(const Plan&, const kinds::Export& model) const override {
    OUTCROP_CHECK(check_nothing_in_place(model, "what is optimized for mobile"));
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      applied.forms.push_back(
          {reload(torch::jit::optimizeForMobile(reload(fold_batch_norm(part.network)))),
           std::nullopt});
    }
    return applied;
  }
};

}  // namespace

std::shared_ptr<const Method> make_float_mobile() {
  return std::make_shared<FloatMobile>();
}

}  // namespace outcrop::quantize
