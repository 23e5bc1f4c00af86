#include "runtime/engine/tensor_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t maximum_header = ByteCount::mib(1).value();
constexpr std::string_view metadata_key = "__metadata__";

struct Entry {
  TensorView tensor;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

Status check_size(const TensorView& tensor) {
  OUTCROP_TRY(size, size_of(tensor.dtype, tensor.shape));
  if (size.value() == tensor.data.size()) return {};
  return fail(ErrorCode::invalid_data, "'" + tensor.name + "' takes " +
                                           std::to_string(size.value()) + " bytes, got " +
                                           std::to_string(tensor.data.size()));
}

tl::unexpected<Error> broken(std::string message) {
  return fail(ErrorCode::invalid_data, "tensor file: " + std::move(message));
}

std::uint64_t read_length(BytesView bytes) {
  std::uint64_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) {
    length = (length << 8) | std::to_integer<std::uint64_t>(bytes[i]);
  }
  return length;
}

// Of a file whose first eight bytes are no length that a header can have: most often another
// format's own first bytes.
Error no_header(BytesView bytes) {
  const std::string_view text = as_text(bytes);
  std::string what = "its first 8 bytes are not the length of a header of at most 1 MiB";
  if (text.starts_with("\x93NUMPY")) what = "it is a NumPy array (.npy)";
  if (text.starts_with("PK\x03\x04")) what = "it is a zip archive (.pt, .ptl or .npz)";
  return {ErrorCode::invalid_data, "no .safetensors file: " + what};
}

Result<std::string_view> header_text(BytesView bytes) {
  if (bytes.size() < length_bytes) return broken("cut short before the header");
  const std::uint64_t length = read_length(bytes);
  if (length > maximum_header) return fail(no_header(bytes));
  if (length > bytes.size() - length_bytes) return broken("cut short in the header");
  return as_text(bytes.subspan(length_bytes, length));
}

// The JSON library keeps the last of two equal keys without a word; two readers could then see
// two different tensors under one name.
Result<Json> parse_header(std::string_view text) {
  std::set<std::string> names;
  std::string repeated;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::key && depth == 1 &&
        !names.insert(value.get<std::string>()).second) {
      repeated = value.get<std::string>();
    }
    return true;
  };
  Json header = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (!repeated.empty()) return broken("'" + repeated + "' stands in the header twice");
  if (header.is_discarded() || !header.is_object()) {
    return broken("the header is not a JSON object");
  }
  return header;
}

Result<Entry> parse_entry(const std::string& name, const Json& value) {
  try {
    Entry entry;
    entry.tensor.name = name;
    if (name.empty()) return broken("a tensor without a name");
    for (const auto& [key, ignored] : value.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        return broken("unknown key '" + key + "' at '" + name + "'");
      }
    }
    const auto dtype = value.at("dtype").get<std::string>();
    if (dtype != "F32" && dtype != "I64") {
      return broken("'" + name + "' has dtype " + dtype + "; F32 and I64 are read");
    }
    entry.tensor.dtype = dtype == "F32" ? DType::float32 : DType::int64;
    for (const Json& dimension : value.at("shape")) {
      if (!dimension.is_number_unsigned()) return broken("the shape of '" + name + "'");
      entry.tensor.shape.push_back(dimension.get<std::int64_t>());
    }
    const Json& offsets = value.at("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      return broken("data_offsets of '" + name + "' are not two byte positions");
    }
    entry.begin = offsets[0].get<std::uint64_t>();
    entry.end = offsets[1].get<std::uint64_t>();
    return entry;
  } catch (const Json::exception& error) {
    return broken("the entry of '" + name + "': " + error.what());
  }
}

}  // namespace

Result<Bytes> encode_tensor_header(std::span<const TensorView> tensors,
                                   const TensorMetadata& metadata) {
  // Ordered by hand: the library sorts keys, and order in the file is our order.
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  std::uint64_t position = 0;
  for (const TensorView& tensor : tensors) {
    OUTCROP_CHECK(check_size(tensor));
    if (tensor.name.empty() || tensor.name == metadata_key || header.contains(tensor.name)) {
      return fail(ErrorCode::invalid_argument,
                  "tensor file: '" + tensor.name + "' is no name or stands there twice");
    }
    const std::uint64_t end = position + tensor.data.size();
    header[tensor.name] = {{"dtype", tensor.dtype == DType::float32 ? "F32" : "I64"},
                           {"shape", tensor.shape},
                           {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the format's own padding: data starts aligned
  if (text.size() > maximum_header) {
    return fail(ErrorCode::invalid_argument, "tensor file: the header exceeds 1 MiB");
  }
  Bytes bytes(length_bytes);
  for (std::size_t i = 0; i < length_bytes; ++i) {
    bytes[i] = static_cast<std::byte>(text.size() >> (8 * i));
  }
  const auto header_bytes = as_bytes(text);
  bytes.insert(bytes.end(), header_bytes.begin(), header_bytes.end());
  return bytes;
}

Result<Bytes> encode_tensor_file(std::span<const Tensor> tensors,
                                 const TensorMetadata& metadata) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors) {
    views.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.data});
  }
  OUTCROP_TRY(bytes, encode_tensor_header(views, metadata));
  for (const Tensor& tensor : tensors) {
    bytes.insert(bytes.end(), tensor.data.begin(), tensor.data.end());
  }
  return bytes;
}

Result<std::vector<TensorView>> view_tensor_file(BytesView bytes) {
  OUTCROP_TRY(text, header_text(bytes));
  OUTCROP_TRY(header, parse_header(text));
  const BytesView data = bytes.subspan(length_bytes + text.size());

  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_key) continue;
    OUTCROP_TRY(entry, parse_entry(name, value));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t position = 0;
  std::vector<TensorView> tensors;
  for (Entry& entry : entries) {
    if (entry.begin != position || entry.end < entry.begin) {
      return broken("the bytes of '" + entry.tensor.name + "' do not follow those before");
    }
    if (entry.end > data.size()) return broken("cut short in '" + entry.tensor.name + "'");
    entry.tensor.data = data.subspan(entry.begin, entry.end - entry.begin);
    if (auto size = check_size(entry.tensor); !size) return fail(size.error().context("tensor file"));
    position = entry.end;
    tensors.push_back(std::move(entry.tensor));
  }
  if (position != data.size()) {
    return broken(std::to_string(data.size() - position) + " bytes belong to no tensor");
  }
  return tensors;
}

Result<std::vector<Tensor>> decode_tensor_file(BytesView bytes) {
  OUTCROP_TRY(views, view_tensor_file(bytes));
  std::vector<Tensor> tensors;
  for (TensorView& view : views) {
    tensors.push_back({std::move(view.name), view.dtype, std::move(view.shape),
                       Bytes(view.data.begin(), view.data.end())});
  }
  return tensors;
}

Result<TensorMetadata> decode_tensor_metadata(BytesView bytes) {
  OUTCROP_TRY(text, header_text(bytes));
  OUTCROP_TRY(header, parse_header(text));
  const auto found = header.find(std::string(metadata_key));
  TensorMetadata metadata;
  if (found == header.end()) return metadata;
  if (!found->is_object()) return broken("__metadata__ is not an object");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return broken("__metadata__: the value of '" + key + "' is not a text");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

Status write_tensor_file(const std::filesystem::path& path, std::span<const Tensor> tensors) {
  OUTCROP_TRY(bytes, encode_tensor_file(tensors));
  return write_file_durably(path, BytesView(bytes));
}

Result<std::vector<Tensor>> read_tensor_file(const std::filesystem::path& path, ByteCount limit) {
  OUTCROP_TRY(bytes, read_file(path, limit));
  auto tensors = decode_tensor_file(bytes);
  if (!tensors) return fail(tensors.error().context("reading " + path.string()));
  return tensors;
}

}  // namespace outcrop::runtime
