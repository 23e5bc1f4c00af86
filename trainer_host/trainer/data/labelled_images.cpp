#include "trainer_host/trainer/data/labelled_images.hpp"

#include <algorithm>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "protocol/trust/digest.hpp"

namespace outcrop::data {
namespace {

std::size_t hash_of(std::span<const std::uint8_t> image) {
  return std::hash<std::string_view>()({reinterpret_cast<const char*>(image.data()), image.size()});
}

}  // namespace

std::string to_string(const ImageShape& shape) {
  return std::to_string(shape.rows) + "x" + std::to_string(shape.columns) +
         (shape.channels == 1 ? std::string(", grey")
                              : " in " + std::to_string(shape.channels) + " channels");
}

Status LabelledImages::append(const LabelledImages& others) {
  if (size() == 0) {
    *this = others;
    return {};
  }
  if (others.shape != shape) {
    return fail(ErrorCode::invalid_data, "its images are " + to_string(others.shape) +
                                             ", those before " + to_string(shape) +
                                             "; all must have one size");
  }
  if (others.names != names) {
    return fail(ErrorCode::invalid_data, "its classes have other names than those before");
  }
  pixels.insert(pixels.end(), others.pixels.begin(), others.pixels.end());
  labels.insert(labels.end(), others.labels.begin(), others.labels.end());
  return {};
}

LabelledImages LabelledImages::split_at(std::size_t first) {
  const auto pixel = pixels.begin() + static_cast<std::ptrdiff_t>(first * shape.size());
  const auto label = labels.begin() + static_cast<std::ptrdiff_t>(first);
  LabelledImages end{shape, {pixel, pixels.end()}, {label, labels.end()}, names};
  pixels.erase(pixel, pixels.end());
  labels.erase(label, labels.end());
  return end;
}

std::string LabelledImages::digest() const {
  if (size() == 0) return "";
  trust::Sha256Hasher hasher;
  const std::string head = std::to_string(size()) + " images " + to_string(shape) + "\n";
  hasher.update(as_bytes(head));
  hasher.update(std::as_bytes(std::span(pixels)));
  hasher.update(std::as_bytes(std::span(labels)));
  return hasher.finish().hex();
}

std::vector<bool> found_in(const LabelledImages& some, const LabelledImages& others) {
  std::vector<bool> found(some.size(), false);
  if (some.shape != others.shape) return found;
  std::unordered_multimap<std::size_t, std::size_t> by_image;
  by_image.reserve(others.size());
  for (std::size_t i = 0; i < others.size(); ++i) by_image.emplace(hash_of(others.image(i)), i);
  for (std::size_t i = 0; i < some.size(); ++i) {
    const auto [first, last] = by_image.equal_range(hash_of(some.image(i)));
    found[i] = std::any_of(first, last, [&](const auto& candidate) {
      return std::ranges::equal(some.image(i), others.image(candidate.second));
    });
  }
  return found;
}

}  // namespace outcrop::data
