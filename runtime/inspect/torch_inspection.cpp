#include "runtime/inspect/torch_inspection.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include <c10/util/Optional.h>
#if __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

#include "runtime/engine/torch/mapped_file.hpp"
#include "runtime/engine/torch/torch_error.hpp"

// LibTorch exports these two and installs no header for them
// (torch/csrc/jit/mobile/compatibility/model_compatibility.h in its source).
namespace torch::jit {

struct OperatorInfo {
  c10::optional<int> num_schema_args;
};

std::unordered_map<std::string, OperatorInfo> _get_model_ops_and_info(
    std::shared_ptr<caffe2::serialize::ReadAdapterInterface> file);
#if TORCH_VERSION_MAJOR >= 2
using FileOfVersion = const std::shared_ptr<caffe2::serialize::ReadAdapterInterface>&;
#else
using FileOfVersion = std::shared_ptr<caffe2::serialize::ReadAdapterInterface>;
#endif
std::uint64_t _get_model_bytecode_version(FileOfVersion file);

}  // namespace torch::jit

namespace outcrop::runtime {
namespace {

// The lite interpreter also knows a FlatBuffers format, whose operators nothing lists before it
// is loaded: only zip archives are let through. LibTorch 2 looks for that format's mark, at byte
// 4, before it looks for a zip archive's at byte 0 (getFileFormat in
// torch/csrc/jit/mobile/file_format.h), so that a file with both marks could be inspected as the
// one and loaded as the other.
bool is_zip(BytesView file) {
  constexpr std::string_view zip{"PK\x03\x04", 4};
  constexpr std::string_view flatbuffer = "PTMF";
  const std::string_view start = as_text(file.first(std::min<std::size_t>(file.size(), 8)));
  return start.size() == 8 && start.starts_with(zip) && !start.ends_with(flatbuffer);
}

}  // namespace

Result<Inspection> inspect_torch_model(BytesView file) {
  if (!is_zip(file)) {
    return fail(ErrorCode::invalid_data,
                "not a LibTorch lite-interpreter file: it does not begin as a zip archive "
                "and nothing else");
  }
  try {
    Inspection inspection;
    for (const auto& [name, info] :
         torch::jit::_get_model_ops_and_info(std::make_shared<MappedFile>(file))) {
      inspection.operators.push_back(name);
    }
    std::sort(inspection.operators.begin(), inspection.operators.end());
    const std::uint64_t version =
        torch::jit::_get_model_bytecode_version(std::make_shared<MappedFile>(file));
    if (version == 0 || version > 1000) {
      return fail(ErrorCode::invalid_data, "a bytecode version of " + std::to_string(version));
    }
    inspection.bytecode_version = static_cast<int>(version);
    inspection.memory_estimate = ByteCount(2 * file.size());
    return inspection;
  } catch (const std::exception& error) {
    return fail(torch_error(error, "reading the model's operators", ErrorCode::invalid_data));
  }
}

}  // namespace outcrop::runtime
