#pragma once

#include <torch/script.h>

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/torch/from_torch.hpp"

namespace outcrop::exchange {

// Which call of a TorchScript model becomes a graph.
struct WantedCall {
  std::string part;                  // a module in it, "network"; empty: the whole
  std::string method = "forward";
  std::vector<std::string> shapes;   // "1,3,32,32", "ids=1,128:int64"; of arguments without one the golden input's are taken
  std::vector<std::string> outputs;  // of those that it answers; all where empty
};

struct ExampleOf {
  torch::jit::Module module;
  TorchCall call;
};

// The golden input of a stage's variant: beside the file.
[[nodiscard]] std::filesystem::path golden_input_beside(const std::filesystem::path& file);

// A call with tensors of these sizes, or with the first row of the golden input beside `file`. invalid_argument where there is
// no such part or method (with those that there are), where a shape is none, or where nothing says one.
[[nodiscard]] Result<ExampleOf> example_call(const torch::jit::Module& whole, const std::filesystem::path& file,
                                             const WantedCall& wanted);

}  // namespace outcrop::exchange
