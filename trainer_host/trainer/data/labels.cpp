#include "trainer_host/trainer/data/labels.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/digest.hpp"
#include "runtime/engine/npy_file.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount largest_label_file = ByteCount::mib(1024);

Result<runtime::Tensor> read_labels(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) {
    return fail(ErrorCode::not_found,
                file.string() + ": no such file; it says what each cell of the maps beside it is "
                                "(outcrop synth --labels makes such data)");
  }
  OUTCROP_TRY(bytes, read_file(file, largest_label_file));
  auto tensor = runtime::decode_npy(bytes);
  if (!tensor) return fail(tensor.error().context(file.string()));
  return tensor;
}

Status check_labels(const fs::path& file, const runtime::Tensor& tensor, const NpyArray& maps,
                    std::int64_t classes) {
  if (tensor.dtype != runtime::DType::int64) {
    return fail(ErrorCode::invalid_data,
                file.string() + ": its values are floats; labels are integers: "
                                "labels.astype('<i8')");
  }
  const Shape shape(tensor.shape.begin(), tensor.shape.end());
  if (shape != maps.shape()) {
    return fail(ErrorCode::invalid_data,
                file.string() + ": shape " + to_string(shape) + "; its maps, " +
                    maps.path().string() + ", have " + to_string(maps.shape()));
  }
  const auto [low, high] = std::ranges::minmax_element(tensor.integers());
  if (*low >= 0 && *high < classes) return {};
  const bool from_one = *low == 1 && *high == classes;
  return fail(ErrorCode::invalid_data,
              file.string() + ": labels from " + std::to_string(*low) + " to " +
                  std::to_string(*high) + "; there are " + std::to_string(classes) +
                  " classes, 0 to " + std::to_string(classes - 1) +
                  (from_one ? ": they seem to begin at 1, subtract 1" : ""));
}

}  // namespace

fs::path label_file(const fs::path& velocity) {
  std::string name = velocity.filename().string();
  name.replace(0, name.starts_with("vel") ? 3 : std::string_view("model").size(), "label");
  const fs::path folder = velocity.parent_path();
  return (folder.filename() == "model" ? folder.parent_path() / "label" : folder) / name;
}

Result<Labels> Labels::open(const fs::path& folder, std::int64_t classes) {
  OUTCROP_TRY(pairs, find_pairs(folder));
  Labels labels;
  for (const FilePair& pair : pairs) {
    const fs::path file = label_file(pair.velocity);
    OUTCROP_TRY(maps, NpyArray::open(pair.velocity));
    OUTCROP_TRY(tensor, read_labels(file));
    OUTCROP_CHECK(check_labels(file, tensor, maps, classes));
    // That all maps have one size is Dataset's to say.
    if (maps.shape().size() == 4) labels.map_size_ = maps.shape()[2] * maps.shape()[3];
    for (const std::int64_t value : tensor.integers()) {
      labels.values_.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return labels;
}

std::string Labels::digest() const {
  return trust::sha256(std::as_bytes(std::span(values_))).hex();
}

Status write_labels(const fs::path& file, std::span<const std::int64_t> labels,
                    const Geometry& geometry) {
  const auto samples = static_cast<std::int64_t>(labels.size() / geometry.map_size());
  const auto tensor = runtime::Tensor::of_integers(
      "",
      {samples, 1, static_cast<std::int64_t>(geometry.depth), static_cast<std::int64_t>(geometry.width)},
      labels);
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) return fail(ErrorCode::io, "making " + file.parent_path().string() + ": " + error.message());
  return write_file_durably(file, runtime::encode_npy(tensor));
}

}  // namespace outcrop::data
