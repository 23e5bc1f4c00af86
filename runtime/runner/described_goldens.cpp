#include "runtime/runner/described_goldens.hpp"

#include <string>
#include <vector>

namespace outcrop::runtime {
namespace {

std::string names(const auto& tensors) {
  std::string text;
  for (const auto& tensor : tensors) text += (text.empty() ? "" : ", ") + tensor.name;
  return text.empty() ? "none" : text;
}

Status check_side(const std::string& side, std::uint64_t latents,
                  const std::vector<messages::TensorSchema>& described,
                  const std::vector<Tensor>& tensors) {
  if (described.empty() || tensors.size() != described.size()) {
    return fail(ErrorCode::untrusted, "the golden " + side + " tensors are " + names(tensors) +
                                          "; the manifest names " + names(described));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::vector<std::int64_t> shape{static_cast<std::int64_t>(latents)};
    shape.insert(shape.end(), described[i].shape.begin(), described[i].shape.end());
    const Tensor& tensor = tensors[i];
    if (tensor.name == described[i].name && tensor.shape == shape &&
        to_string(tensor.dtype) == described[i].dtype) {
      continue;
    }
    std::string wanted;
    for (const std::int64_t size : shape) {
      wanted += (wanted.empty() ? "" : ", ") + std::to_string(size);
    }
    return fail(ErrorCode::untrusted, "golden " + side + " '" + tensor.name + "' is " +
                                          describe(tensor) + "; the manifest describes '" +
                                          described[i].name + "', " + described[i].dtype + " [" +
                                          wanted + "]");
  }
  return {};
}

}  // namespace

Status check_goldens(const messages::Golden& described, const Goldens& goldens) {
  if (described.latents == 0) {
    return fail(ErrorCode::untrusted, "the manifest describes goldens of no latents");
  }
  OUTCROP_CHECK(check_side("input", described.latents, described.inputs, goldens.inputs));
  return check_side("output", described.latents, described.outputs, goldens.outputs);
}

}  // namespace outcrop::runtime
