#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/activation_range.hpp"
#include "trainer_host/trainer/quantize/corrections/correction_step.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"

namespace outcrop::quantize {

// A model's parts as a method made them.
struct Applied {
  std::vector<kinds::PartForm> forms;       // in the order of Export::parts
  std::vector<PlannedLayer> int8_layers;    // of all parts, with the part's name before theirs
  std::map<std::string, int> float_layers;  // those that were to stay float, by operation
  std::vector<DegenerateRange> degenerate_ranges{};  // with the part's name before the layer's
  std::vector<CorrectionStep> corrections{};         // that were tried, with the part's name before theirs
};

// A way to make a variant of a float model, in two steps: what becomes of each layer, which may be
// looked at and changed, then doing it. Without state; LibTorch's exceptions come through.
class Method {
 public:
  virtual ~Method() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "static"

  // What a layer's format may be in its plans.
  [[nodiscard]] virtual std::vector<std::string> formats() const { return {"float"}; }
  // What it makes of a model by itself. unsupported names what it cannot, and why.
  [[nodiscard]] virtual Result<Plan> plan(const kinds::Export& model) const = 0;
  // `plan` is one that plan() made of this model, perhaps with other formats and another observer
  // (check_decisions). invalid_argument where there is no such observer; internal where the result is
  // not what was planned.
  [[nodiscard]] virtual Result<Applied> apply(const Plan& plan, const kinds::Export& model) const = 0;
};

// A variant that a stage can make.
struct VariantKind {
  std::string name;     // "int8-qint8"
  std::string about;    // a line for people
  std::string backend;  // whose kernels run it
  std::shared_ptr<const Method> method;
};

// All that there are; the float reference first.
[[nodiscard]] const std::vector<VariantKind>& variant_kinds();
// invalid_argument without such a variant, with those that there are.
[[nodiscard]] Result<const VariantKind*> find_variant(std::string_view name);

// What a stage makes where nobody says otherwise.
[[nodiscard]] std::vector<std::string> usual_variants();

// invalid_argument unless each layer that `wanted` decides is in `possible` and all formats are among
// `formats`.
[[nodiscard]] Status check_decisions(const Plan& wanted, const Plan& possible,
                                     const std::vector<std::string>& formats);

}  // namespace outcrop::quantize
