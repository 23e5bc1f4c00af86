#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::kinds {

// How outputs of boards are shown, by `outcrop draw`; without LibTorch, so that any build can draw.
struct SamplePicture {
  std::string kind;                  // "generator"
  std::vector<std::string> outputs;  // the tensors that it is drawn of
  // The first `most` samples of a file's tensors as a PNG; answers how many were drawn. invalid_data
  // where a tensor is missing, or is not what the kind answers; errors of evaluate/gnuplot.hpp.
  std::function<Result<std::size_t>(const std::vector<runtime::Tensor>& tensors, std::size_t most,
                                    const std::string& title, const std::filesystem::path& png)>
      draw;
};

// Those of all kinds of Outcrop's own that have one.
[[nodiscard]] std::vector<SamplePicture> built_in_pictures();

}  // namespace outcrop::kinds
