#include "trainer_host/trainer/quantize/storage/stored_holder.hpp"

#include <torch/custom_class.h>

#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "trainer_host/trainer/models/operator_scope.hpp"
#include "trainer_host/trainer/quantize/storage/expansion_source.hpp"

namespace outcrop::quantize {
namespace {

using torch::jit::Module;

constexpr const char* state_source = R"(
def __getstate__(self):
    assert len(self.parts) > 0, "its codes were dropped at load: save the file that it came from"
    return (self.keeps_codes, self.training, self.parts, self.numbers, self.bias)
def __setstate__(self, state: Tuple[bool, bool, List[Tensor], List[int], Optional[Tensor]]):
    self.keeps_codes = state[0]
    self.training = state[1]
    nothing: List[Tensor] = []
    if state[0]:
        self.parts = state[2]
    else:
        self.parts = nothing
    self.numbers = state[3]
    self.bias = state[4]
)";

// A scale below 1e-30 is no normal number once it is multiplied with an input's.
constexpr const char* pack_source = R"(
def pack_FORM(self, parts: List[Tensor], numbers: List[int], bias: Optional[Tensor]):
    rows = numbers[0]
    columns = numbers[1]
    codes = torch.empty([rows, columns], dtype=1, layout=None, device=None, pin_memory=False)
    scales_of_all = torch.empty([rows], dtype=6, layout=None, device=None, pin_memory=False)
    step = max(1, 262144 // columns)
    for part in range((rows + step - 1) // step):
        begin = part * step
        count = min(step, rows - begin)
PIECE
        row_scales = torch.clamp_min(torch.amax(torch.abs(piece), [1]) / 127.0, 1e-30)
        torch.narrow(scales_of_all, 0, begin, count).copy_(row_scales)
        piece = torch.clamp(torch.round(piece / torch.unsqueeze(row_scales, 1)), -127.0, 127.0)
        torch.narrow(codes, 0, begin, count).copy_(piece)
    zeros = torch.zeros([rows], dtype=4, layout=None, device=None, pin_memory=False)
    weight = torch._make_per_channel_quantized_tensor(codes, scales_of_all.to(7), zeros, 0)
    return ops.quantized.linear_prepack(weight, bias)
)";

Module new_class(const std::string& form, bool packed) {
  Module made("__torch__.outcrop." + std::string(packed ? "Packed_" : "Stored_") + form,
              std::make_shared<torch::jit::CompilationUnit>());
  made.register_attribute("training", c10::BoolType::get(), false);
  made.register_attribute("keeps_codes", c10::BoolType::get(), true);
  made.register_attribute("parts", c10::ListType::ofTensors(), std::vector<torch::Tensor>());
  made.register_attribute("numbers", c10::ListType::ofInts(), std::vector<std::int64_t>());
  made.register_attribute("bias", c10::OptionalType::ofTensor(), c10::IValue());
  std::string restore;
  if (packed) {
    made.register_attribute("packed",
                            torch::getCustomClass("__torch__.torch.classes.quantized.LinearPackedParamsBase"),
                            c10::IValue());
    made.define(with_word(with_word(pack_source, "PIECE", piece_source(form)), "FORM", form), models::operator_scope());
    restore = "    self.packed = self.pack_" + form + "(state[2], state[3], state[4])\n";
  } else {
    made.register_parameter("values", torch::empty({0}), /*is_buffer=*/false);
    made.define(expansion_source(form), models::operator_scope());
    restore = "    self.values = self.expand_" + form + "(state[2], state[3])\n";
  }
  made.define(state_source + restore, models::operator_scope());
  return made;
}

// One of its class.
Module of_class(const std::string& form, bool packed) {
  static std::mutex mutex;
  static std::map<std::pair<std::string, bool>, Module> classes;
  const std::lock_guard lock(mutex);
  auto found = classes.find({form, packed});
  if (found == classes.end()) found = classes.emplace(std::pair(form, packed), new_class(form, packed)).first;
  const auto& type = found->second.type();
  return Module(c10::ivalue::Object::create(
      c10::StrongTypePtr(found->second._ivalue()->compilation_unit(), type), type->numAttributes()));
}

Module holder(const StoredTensor& tensor, bool packed, const c10::IValue& bias) {
  Module made = of_class(tensor.form, packed);
  const auto& object = made._ivalue();
  object->setAttr("training", false);
  object->setAttr("keeps_codes", true);
  object->setAttr("parts", tensor.parts);
  object->setAttr("numbers", tensor.numbers);
  object->setAttr("bias", bias);
  return made;
}

}  // namespace

Module values_holder(const StoredTensor& tensor) {
  Module made = holder(tensor, /*packed=*/false, {});
  made._ivalue()->setAttr("values", tensor.values);
  return made;
}

Module packed_holder(const StoredTensor& tensor, const c10::IValue& bias) {
  Module made = holder(tensor, /*packed=*/true, bias);
  made._ivalue()->setAttr("packed", made.run_method("pack_" + tensor.form, tensor.parts, tensor.numbers, bias));
  return made;
}

}  // namespace outcrop::quantize
