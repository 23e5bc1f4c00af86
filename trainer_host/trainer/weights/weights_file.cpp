#include "trainer_host/trainer/weights/weights_file.hpp"

#include <algorithm>
#include <new>

#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/data/mapped_file.hpp"

namespace outcrop::weights {
namespace {

constexpr std::string_view zip_mark = "PK\x03\x04";
// torch.save's before 1.6: a pickle of the number 0x1950a86a20f9469cfc6c.
constexpr std::string_view earlier_mark{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14};

// Safetensors may begin with the same two bytes, as the lower part of a header's length: then five
// of the next six are 0.
bool is_pickle(std::string_view text) {
  if (text.size() < 8 || text[0] != '\x80' || text[1] < 2 || text[1] > 5) return false;
  const std::string_view length = text.substr(3, 5);
  return std::any_of(length.begin(), length.end(), [](char c) { return c != 0; });
}

Result<Weights> decode_safetensors(BytesView file) {
  OUTCROP_TRY(views, runtime::view_tensor_file(file));
  if (views.empty()) return fail(ErrorCode::invalid_data, "it holds no tensors");
  Weights weights;
  for (runtime::TensorView& view : views) {
    const std::string name = view.name;
    weights.emplace(name, runtime::Tensor{name, view.dtype, std::move(view.shape),
                                          Bytes(view.data.begin(), view.data.end())});
  }
  return weights;
}

Result<Weights> decode_weights(BytesView file) {
  const std::string_view text = as_text(file);
  if (text.empty()) return fail(ErrorCode::invalid_data, "it is empty");
  if (text.starts_with(zip_mark)) return decode_state_dict(file);
  if (text.starts_with(earlier_mark)) {
    return fail(ErrorCode::invalid_data,
                "it is what torch.save wrote before PyTorch 1.6; load and save it with a later one: "
                "torch.save(torch.load(FILE), OTHER_FILE)");
  }
  if (is_pickle(text)) {
    return fail(ErrorCode::invalid_data,
                "it is a bare pickle, not what torch.save writes: torch.save(model.state_dict(), FILE)");
  }
  if (text.starts_with("outcrop weights ") || text.starts_with("outcrop checkpoint ")) {
    return fail(ErrorCode::invalid_data,
                "it is a file of Outcrop's own training; weights of a module are a state_dict or safetensors");
  }
  try {
    return decode_safetensors(file);
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::out_of_memory, "not enough memory for its tensors");
  }
}

}  // namespace

Result<Weights> read_weights(const std::filesystem::path& path) {
  OUTCROP_TRY(file, data::MappedFile::open(path));
  auto weights = decode_weights(file.bytes());
  if (!weights) return fail(weights.error().context("reading " + path.string()));
  return weights;
}

}  // namespace outcrop::weights
