#include "trainer_host/trainer/weights/state_globals.hpp"

#include <array>
#include <utility>

#include "protocol/base/without_controls.hpp"

namespace outcrop::weights {
namespace {

constexpr std::array<std::pair<std::string_view, Global>, 13> globals{{
    {"collections.OrderedDict", Function::ordered_dict},
    {"torch._utils._rebuild_tensor_v2", Function::rebuild_tensor},
    {"torch._utils._rebuild_parameter", Function::rebuild_parameter},
    {"torch.FloatStorage", StorageType::float32},
    {"torch.DoubleStorage", StorageType::float64},
    {"torch.HalfStorage", StorageType::float16},
    {"torch.BFloat16Storage", StorageType::bfloat16},
    {"torch.LongStorage", StorageType::int64},
    {"torch.IntStorage", StorageType::int32},
    {"torch.ShortStorage", StorageType::int16},
    {"torch.CharStorage", StorageType::int8},
    {"torch.ByteStorage", StorageType::uint8},
    {"torch.BoolStorage", StorageType::boolean},
}};

// Tensors that torch saves by other functions and types: by the beginning of those.
struct OtherTensors {
  std::string_view global;
  std::string_view what;
};
constexpr std::array<OtherTensors, 14> other_tensors{{
    {"torch._utils._rebuild_qtensor", "a quantized tensor"},
    {"torch._utils._rebuild_sparse", "a sparse tensor"},
    {"torch._utils._rebuild_nested", "a nested tensor"},
    {"torch._utils._rebuild_meta", "a meta tensor, which has no values"},
    {"torch._utils._rebuild_device_tensor", "a tensor of a device that torch cannot save from"},
    {"torch._utils._rebuild_wrapper_subclass", "a tensor of a class of its own"},
    {"torch._tensor._rebuild_from_type", "a tensor with attributes or of a class of its own"},
    {"torch._utils._rebuild_parameter_with_state", "a parameter with attributes"},
    {"torch._utils._rebuild_tensor_v3", "a tensor of a newer dtype (float8, uint16, uint32 or uint64)"},
    {"torch.QInt", "a quantized tensor"},
    {"torch.QUInt", "a quantized tensor"},
    {"torch.Complex", "a complex tensor"},
    {"torch.storage.UntypedStorage", "a storage without a dtype"},
    {"torch.UntypedStorage", "a storage without a dtype"},
}};

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t longest = 120;
  const std::string result = without_controls(std::string(text.substr(0, longest)));
  return text.size() > longest ? result + "..." : result;
}

Result<Global> find_global(std::string_view module, std::string_view name) {
  const std::string full = std::string(module) + "." + std::string(name);
  for (const auto& [known, global] : globals) {
    if (full == known) return global;
  }
  for (const OtherTensors& other : other_tensors) {
    if (!full.starts_with(other.global)) continue;
    return fail(ErrorCode::invalid_data, "it holds " + std::string(other.what) + " (" + shown(full) +
                                             "); dense float, integer and bool tensors are read");
  }
  if (full.starts_with("torch.nn.") || full.starts_with("torch.fx.") || full.starts_with("torchvision.")) {
    return fail(ErrorCode::invalid_data,
                "it holds a whole model (" + shown(full) +
                    "), which only its own code could make again; save its weights: "
                    "torch.save(model.state_dict(), FILE)");
  }
  return fail(ErrorCode::invalid_data,
              "it would call " + shown(full) +
                  ": a state_dict calls nothing but torch's rebuilding of tensors; save "
                  "model.state_dict()");
}

}  // namespace outcrop::weights
