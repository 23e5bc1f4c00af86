#include "trainer_host/trainer/quantize/observers.hpp"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <set>
#include <utility>

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

constexpr const char* activation_source = R"(
def forward(self, x):
    return self.statistics.passed(x)

def rounded(self, x):
    return self.statistics.rounded(x)

def calculate_qparams(self):
    return self.statistics.parameters()
)";

// The weight is looked at once; the search works on rows, one for each scale.
constexpr const char* weight_source = R"(
def forward(self, x):
    self.weight = torch.detach(x)
    return x

def calculate_qparams(self):
    if self.fixed:
        return self.scales, torch.zeros_like(self.scales).to(4)
    rows = torch.reshape(self.weight, [1, -1])
    if self.per_channel:
        rows = torch.flatten(torch.transpose(self.weight, 0, self.ch_axis), 1)
    largest = torch.amax(torch.abs(rows), [1], True)
    best_scale = torch.clamp_min(largest / 127.0, self.smallest_scale)
    best = torch.full_like(largest, 1e30)
    for i in range(51):
        scale = torch.clamp_min(largest * (1.0 - 0.01 * i) / 127.0, self.smallest_scale)
        q = torch.clamp(torch.round(rows / scale), -127, 127)
        error = torch.sum(torch.square(q * scale - rows), [1], True)
        better = error < best
        best = torch.where(better, error, best)
        best_scale = torch.where(better, scale, best_scale)
    scale = torch.flatten(best_scale)
    return scale, torch.zeros_like(scale).to(4)
)";

constexpr const char* rounding_source = R"(
def scales_of(self, x):
    if self.fixed:
        return self.scales
    rows = torch.reshape(torch.detach(x), [1, -1])
    if self.per_channel:
        rows = torch.flatten(torch.transpose(torch.detach(x), 0, self.ch_axis), 1)
    return torch.clamp_min(torch.amax(torch.abs(rows), [1]) / 127.0, self.smallest_scale)

def forward(self, x):
    scale = self.scales_of(x)
    zero = torch.zeros_like(scale).to(3)
    if self.per_channel:
        return torch.fake_quantize_per_channel_affine(x, scale, zero, self.ch_axis, -127, 127)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero, -127, 127)
)";

void register_integer(Module& module, const char* name, std::int64_t value) {
  module.register_attribute(name, c10::IntType::get(), value);
}

// TorchScript knows the class from here on.
void register_statistics() {
  static const auto registered =
      torch::class_<ActivationStatistics>("outcrop", "ActivationStatistics")
          .def("passed", [](const c10::intrusive_ptr<ActivationStatistics>& self,
                            const torch::Tensor& x) { return self->passed(x); })
          .def("rounded", [](const c10::intrusive_ptr<ActivationStatistics>& self,
                             const torch::Tensor& x) { return self->rounded(x); })
          .def("parameters",
               [](const c10::intrusive_ptr<ActivationStatistics>& self) { return self->parameters(); })
          .def_pickle(
              [](const c10::intrusive_ptr<ActivationStatistics>& self) { return self->kind(); },
              [](const std::tuple<std::int64_t, std::int64_t>& kind) {
                return c10::make_intrusive<ActivationStatistics>(
                    static_cast<ActivationType>(std::get<0>(kind)),
                    static_cast<RangeSearch>(std::get<1>(kind)));
              });
  static_cast<void>(registered);
}

// The child that a call is of, by its name; "" where it is of a child's child or no call.
std::string called_child(const torch::jit::Node* node) {
  if (node->kind() != torch::jit::prim::CallMethod) return {};
  const auto* owner = node->input(0)->node();
  if (owner->kind() != torch::jit::prim::GetAttr) return {};
  return owner->input()->node()->kind() == torch::jit::prim::Param ? owner->s(torch::jit::attr::name)
                                                                   : std::string();
}

// Whether `value` is one, or what an observer of one hands on.
bool is_constant(const torch::jit::Value* value, const Module& observed) {
  if (torch::jit::toIValue(value)) return true;
  const std::string child = called_child(value->node());
  if (child.empty() || statistics_of(observed.attr(child).toModule()) == nullptr) return false;
  return torch::jit::toIValue(value->node()->input(1)).has_value();
}

std::string name_of_tensor(const torch::jit::Value* value, const Module& observed) {
  const auto* node = value->node();
  if (node->kind() == torch::jit::prim::Param) return "input";
  const std::string child = called_child(node);
  if (!child.empty()) {
    const Module called = observed.attr(child).toModule();
    // Observers hand on what they watch.
    return statistics_of(called) != nullptr ? name_of_tensor(node->input(1), observed) : child;
  }
  std::string kind = node->kind().toUnqualString();
  if (kind == "relu_") kind = "relu";
  for (const auto* input : node->inputs()) {
    const auto type = input->type()->kind();
    if (type != c10::TypeKind::TensorType && type != c10::TypeKind::ListType) continue;
    if (is_constant(input, observed)) continue;
    const std::string source = name_of_tensor(input, observed);
    if (kind == "relu" || kind == "ListConstruct") return source;
    return kind + " behind " + (source.find(" behind ") == std::string::npos ? source : source.substr(source.find(" behind ") + 8));
  }
  return kind;
}

}  // namespace

void ActivationStatistics::limit(double floor, double ceiling) {
  floor_ = floor;
  ceiling_ = ceiling;
}

void ActivationStatistics::see(const torch::Tensor& x) {
  if (x.numel() == 0) return;
  torch::Tensor values = x.detach();
  if (values.scalar_type() != torch::kFloat) values = values.to(torch::kFloat);
  if (!values.is_non_overlapping_and_dense()) values = values.contiguous();
  const auto [least, most] = at::aminmax(values);
  const double low = least.item<double>();
  const double high = most.item<double>();
  if (!std::isfinite(low) || !std::isfinite(high)) {
    not_finite_ = true;
    return;
  }
  chosen_.reset();
  seen_.see({values.data_ptr<float>(), static_cast<std::size_t>(values.numel())}, low, high, floor_,
            ceiling_, needs_histogram(search_));
}

torch::Tensor ActivationStatistics::passed(const torch::Tensor& x) {
  if (!fixed_) see(x);
  return rounded(x);
}

torch::Tensor ActivationStatistics::rounded(const torch::Tensor& x) const {
  return fixed_ ? torch::fake_quantize_per_tensor_affine(x, fixed_->scale, fixed_->zero_point, 0, 255) : x;
}

CodeMap ActivationStatistics::code_map() const {
  if (fixed_) return *fixed_;
  if (!chosen_) chosen_ = code_map_of(choose_range(seen_, search_), ActivationType::quint8);
  return *chosen_;
}

std::tuple<torch::Tensor, torch::Tensor> ActivationStatistics::parameters() const {
  const CodeMap map = of_type(code_map(), type_);
  return {torch::tensor({map.scale}, torch::kFloat), torch::tensor({map.zero_point}, torch::kLong)};
}

Module make_activation_observer(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                                ActivationType type, RangeSearch search) {
  register_statistics();
  const bool is_signed = type == ActivationType::qint8;
  Module observer("__torch__.outcrop.ActivationObserver", unit, /*shouldMangle=*/true);
  register_integer(
      observer, "dtype",
      static_cast<std::int64_t>(is_signed ? c10::ScalarType::QInt8 : c10::ScalarType::QUInt8));
  observer.register_attribute("qscheme", c10::QSchemeType::get(),
                              static_cast<std::int64_t>(c10::kPerTensorAffine));
  observer.register_attribute("statistics",
                              c10::getCustomClassType<c10::intrusive_ptr<ActivationStatistics>>(),
                              c10::IValue(c10::make_intrusive<ActivationStatistics>(type, search)));
  observer.define(activation_source);
  return observer;
}

ActivationStatistics* statistics_of(const Module& module) {
  if (!module.hasattr("statistics")) return nullptr;
  return module.attr("statistics").toCustomClass<ActivationStatistics>().get();  // the module owns it
}

std::vector<ObservedTensor> observed_tensors(const Module& observed) {
  std::vector<ObservedTensor> tensors;
  std::set<std::string> own;
  const auto take = [&](const torch::jit::Node* node, const std::string& before, const torch::jit::Value* named) {
    const std::string child = called_child(node);
    if (child.empty() || own.contains(child)) return;
    const Module called = observed.attr(child).toModule();
    if (statistics_of(called) == nullptr) return;
    own.insert(child);
    tensors.push_back({before + name_of_tensor(named, observed), called});
  };
  for (const auto* node : observed.get_method("forward").graph()->nodes()) {
    for (const auto* input : node->inputs()) {
      if (is_constant(input, observed)) take(input->node(), "a constant of ", node->outputs().at(0));
    }
    if (!called_child(node).empty() && !is_constant(node->output(), observed)) take(node, "", node->input(1));
  }
  for (const auto& module : observed.named_modules()) {
    if (own.contains(module.name) || statistics_of(module.value) == nullptr) continue;
    tensors.push_back({module.name.substr(0, module.name.rfind('.')), module.value});
  }
  return tensors;
}

namespace {

// What the passes and both sources ask of an observer of weights.
Module weight_module(const char* name, const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                     std::optional<std::int64_t> channel_axis, const torch::Tensor& scales) {
  const bool per_channel = channel_axis.has_value();
  Module observer(c10::QualifiedName(std::string("__torch__.outcrop.") + name), unit, /*shouldMangle=*/true);
  register_integer(observer, "dtype", static_cast<std::int64_t>(c10::ScalarType::QInt8));
  observer.register_attribute(
      "qscheme", c10::QSchemeType::get(),
      static_cast<std::int64_t>(per_channel ? c10::kPerChannelAffine : c10::kPerTensorAffine));
  register_integer(observer, "ch_axis", channel_axis.value_or(0));
  observer.register_attribute("per_channel", c10::BoolType::get(), per_channel);
  observer.register_attribute("smallest_scale", c10::FloatType::get(), smallest_scale);
  observer.register_attribute("fixed", c10::BoolType::get(), scales.defined());
  observer.register_buffer("scales", scales.defined() ? scales : torch::zeros({1}));
  return observer;
}

}  // namespace

Module make_weight_observer(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                            std::optional<std::int64_t> channel_axis, const torch::Tensor& scales) {
  Module observer = weight_module("WeightObserver", unit, channel_axis, scales);
  observer.register_buffer("weight", torch::zeros({1}));
  observer.define(weight_source);
  return observer;
}

Module make_weight_rounding(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                            std::optional<std::int64_t> channel_axis, const torch::Tensor& scales) {
  Module rounding = weight_module("WeightRounding", unit, channel_axis, scales);
  rounding.define(rounding_source);
  return rounding;
}

torch::Tensor largest_weight_scales(const torch::Tensor& weight, std::optional<std::int64_t> channel_axis) {
  Module rounding = make_weight_rounding(std::make_shared<torch::jit::CompilationUnit>(), channel_axis);
  return rounding.get_method("scales_of")({weight}).toTensor();
}

torch::Tensor choose_weight_scales(const torch::Tensor& weight,
                                   std::optional<std::int64_t> channel_axis) {
  Module observer =
      make_weight_observer(std::make_shared<torch::jit::CompilationUnit>(), channel_axis);
  observer.forward({weight});
  const auto parameters = observer.get_method("calculate_qparams")({});
  return parameters.toTuple()->elements()[0].toTensor();
}

}  // namespace outcrop::quantize
