#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/layers.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/activation_range.hpp"
#include "trainer_host/trainer/quantize/corrections/correction_step.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/mixed/report.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"

namespace outcrop::quantize {

// A layer as it became.
struct MadeLayer {
  PlannedLayer layer;  // with its part's name before its own
  std::string format;  // "int8", "4-bit", "float"
  // The operator that is to run it, "quantized::conv2d" (or the same with a ReLU); "" where nothing of its name says what
  // it is.
  std::string runs_as;
  bool in_integers = false;  // its products

  [[nodiscard]] bool is_float() const { return format == "float"; }
};

// A model's parts as a method made them.
struct Applied {
  std::vector<kinds::PartForm> forms;  // in the order of Export::parts
  std::vector<MadeLayer> layers;       // of all parts
  std::vector<DegenerateRange> degenerate_ranges{};  // with the part's name before the layer's
  std::vector<kinds::FloatPart> remarks{};           // layers that became otherwise than was asked, and how
  std::vector<CorrectionStep> corrections{};         // that were tried, with the part's name before theirs
};

// What a method that chooses by measuring goes by, and how it tells what it does.
struct Settling {
  kinds::MixedWishes mixed{};   // what int8 or float by layer keeps to
  std::optional<Plan> costs{};  // times of layers that were measured elsewhere, in such a plan
  std::optional<messages::Layers> board{};  // ... or times of operators, as a board told them
  // What is done next, and how much is done.
  std::function<void(std::size_t done, std::size_t total, const std::string& next)> progress{};
};
struct Settled {
  Plan plan;
  std::optional<MixedReport> report{};
};

// A way to make a variant of a float model, in two steps: what becomes of each layer, which may be
// looked at and changed, then doing it. Without state; LibTorch's exceptions come through.
class Method {
 public:
  virtual ~Method() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "static"
  // What it makes of a model by itself. unsupported names what it cannot, and why.
  [[nodiscard]] virtual Result<Plan> plan(const kinds::Export& model) const = 0;
  // What of it is chosen by measuring, where nobody gave another plan. Errors of apply(); refused where
  // nothing keeps to what is wished.
  [[nodiscard]] virtual Result<Settled> settle(Plan plan, const kinds::Export&, const Settling&) const {
    return Settled{std::move(plan)};
  }
  // `plan` is one that plan() made of this model, perhaps with other formats, observer and options
  // (check_decisions). invalid_argument where there is no such observer; internal where the result is
  // not what was planned.
  [[nodiscard]] virtual Result<Applied> apply(const Plan& plan, const kinds::Export& model) const = 0;
};

// A variant that can be made.
struct VariantKind {
  std::string name;     // "int8-qint8"
  std::string about;    // a line for people
  std::string needs;    // "some hundred rows to calibrate with"; "" for nothing
  std::string limits;   // what it has no way for
  std::string backend;  // whose kernels run it
  std::shared_ptr<const Method> method;
  std::string kernels = "qnnpack";  // of this backend, which run what is in integers (targets.hpp)
};

// All that there are; the float reference first.
[[nodiscard]] const std::vector<VariantKind>& variant_kinds();
// invalid_argument without such a variant, with those that there are.
[[nodiscard]] Result<const VariantKind*> find_variant(std::string_view name);

// What a stage makes where nobody says otherwise.
[[nodiscard]] std::vector<std::string> usual_variants();

// Those that are made of weights that were trained for them, and of no others.
[[nodiscard]] std::vector<std::string> trained_variants();

// What people call ways to quantize.
struct MethodName {
  std::string name;                   // "static-mse"
  std::vector<std::string> variants;  // "int8-quint8", "int8-qint8"
};
// Every variant by its own name, and others: "static", "bnb-4bit".
[[nodiscard]] const std::vector<MethodName>& method_names();
// invalid_argument without such a one, with those that there are.
[[nodiscard]] Result<const MethodName*> find_method(std::string_view name);

// The variants of several methods, in their order. invalid_argument as find_method().
[[nodiscard]] Result<std::vector<std::string>> variants_of(const std::vector<std::string>& methods);

// invalid_argument unless each layer that `wanted` decides is in `possible` and may have that format.
[[nodiscard]] Status check_decisions(const Plan& wanted, const Plan& possible);

// unsupported where a part changes tensors in place, past which LibTorch's passes move operations; `what` is done by
// such passes, or by looking at inputs of layers.
[[nodiscard]] Status check_nothing_in_place(const kinds::Export& model, const std::string& what);

// Compares the operators that ran with what was made: each as often as its layers say, and no layer in
// float that was to be something else. `counts` by name; the error names operators and layers.
[[nodiscard]] Status check_operators(const std::map<std::string, int>& counts, const std::vector<MadeLayer>& layers);

}  // namespace outcrop::quantize
