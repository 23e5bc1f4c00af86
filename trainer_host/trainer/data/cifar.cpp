#include "trainer_host/trainer/data/cifar.hpp"

#include <algorithm>
#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/data/gzip_file.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

constexpr ImageShape cifar_shape{3, 32, 32};

struct CifarLayout {
  const char* name;
  std::size_t labels;   // bytes before the pixels; the last one counts
  std::size_t classes;
  const char* names;  // file of the classes' names
};

CifarLayout layout_of(Cifar format) {
  return format == Cifar::ten ? CifarLayout{"CIFAR-10", 1, 10, "batches.meta.txt"}
                              : CifarLayout{"CIFAR-100", 2, 100, "fine_label_names.txt"};
}

Result<LabelledImages> images_in(BytesView bytes, const CifarLayout& layout) {
  const std::size_t record = layout.labels + cifar_shape.size();
  if (bytes.empty() || bytes.size() % record != 0) {
    return fail(ErrorCode::invalid_data,
                "cut short, or no binary file of " + std::string(layout.name) + ": " +
                    std::to_string(bytes.size()) + " bytes, where each image takes " +
                    std::to_string(record) + " and " + std::to_string(bytes.size() % record) +
                    " are left over");
  }
  LabelledImages images;
  images.shape = cifar_shape;
  for (std::size_t i = 0; i < bytes.size() / record; ++i) {
    const BytesView one = bytes.subspan(i * record, record);
    const auto label = std::to_integer<std::uint8_t>(one[layout.labels - 1]);
    if (label >= layout.classes) {
      return fail(ErrorCode::invalid_data,
                  "image " + std::to_string(i) + " has the label " + std::to_string(label) + "; " +
                      layout.name + " has 0 to " + std::to_string(layout.classes - 1));
    }
    images.labels.push_back(label);
    const auto* pixels = reinterpret_cast<const std::uint8_t*>(one.data()) + layout.labels;
    images.pixels.insert(images.pixels.end(), pixels, pixels + cifar_shape.size());
  }
  return images;
}

}  // namespace

Result<LabelledImages> read_cifar(const fs::path& path, Cifar format) {
  OUTCROP_TRY(bytes, read_unpacked(path, most_unpacked));
  auto images = images_in(bytes, layout_of(format));
  if (!images) return fail(images.error().context(path.string()));
  return images;
}

Result<std::vector<std::string>> read_cifar_names(const fs::path& folder, Cifar format) {
  const CifarLayout layout = layout_of(format);
  const fs::path file = folder / layout.names;
  std::vector<std::string> names;
  std::error_code error;
  if (!fs::exists(file, error)) return names;
  OUTCROP_TRY(text, read_text_file(file, ByteCount::kib(64)));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (names.size() == layout.classes) return names;
  return fail(ErrorCode::invalid_data, file.string() + " names " + std::to_string(names.size()) +
                                           " classes; " + layout.name + " has " +
                                           std::to_string(layout.classes) + ", one a line");
}

}  // namespace outcrop::data
