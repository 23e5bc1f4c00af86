#include "trainer_host/trainer/quantize/methods/mixed_int8.hpp"

#include <utility>

#include "trainer_host/trainer/quantize/mixed/format_search.hpp"

namespace outcrop::quantize {
namespace {

class MixedInt8 final : public Method {
 public:
  explicit MixedInt8(std::shared_ptr<const Method> inner) : inner_(std::move(inner)) {}

  [[nodiscard]] std::string_view name() const override { return "mixed"; }

  [[nodiscard]] Result<Plan> plan(const kinds::Export& model) const override {
    OUTCROP_TRY(plan, inner_->plan(model));
    plan.method = name();
    return plan;
  }

  [[nodiscard]] Result<Settled> settle(Plan plan, const kinds::Export& model, const Settling& how) const override {
    return search_formats(*inner_, std::move(plan), model, how);
  }

  [[nodiscard]] Result<Applied> apply(const Plan& plan, const kinds::Export& model) const override {
    return inner_->apply(plan, model);
  }

 private:
  std::shared_ptr<const Method> inner_;
};

}  // namespace

std::shared_ptr<const Method> make_mixed_int8(std::shared_ptr<const Method> inner) {
  return std::make_shared<MixedInt8>(std::move(inner));
}

}  // namespace outcrop::quantize
