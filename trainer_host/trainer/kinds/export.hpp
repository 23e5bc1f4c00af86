#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/messages/artifact.hpp"
#include "protocol/messages/signature.hpp"
#include "trainer_host/trainer/kinds/float_part.hpp"

namespace outcrop::kinds {

// A trained model on its way to boards: networks to be quantized, how they are put together again,
// and what whoever calls the result must know.

// A network that a method of quantization works on by itself.
struct ExportPart {
  std::string name;            // "map_decoder"
  torch::jit::Module network;  // float, in evaluation mode
  std::vector<torch::Tensor> calibration;  // [N, …] of each argument: inputs as boards will see them
  // Whoever reads the output clamps it to ± this.
  double output_limit = std::numeric_limits<float>::max();
  // The same network as integer kernels run it fastest, where that is another, with the same names of
  // layers; its output may lie otherwise, as compose() knows.
  std::optional<torch::jit::Module> integer_form{};
  // Why methods cannot tell its layers apart, where others made it and they cannot; else "".
  std::string not_layered{};
  // The operation by which it changes tensors in place, past which passes may move others; else "".
  std::string changed_in_place{};
  // Whoever reads the output takes floats alone: no codes.
  bool answers_floats = false;
  // What is rare in it matters most: ranges hold all that calibration saw, where the least squared error would
  // clip it.
  bool keeps_extremes = false;
  // Of quantization-aware training: the codes' scale and zero point, counted from 0, of each of its tensors that is in
  // int8, by name. Empty where it was not trained so. export_of() sets it.
  std::vector<std::pair<std::string, torch::Tensor>> trained_ranges{};
};

// A quantized tensor's codes: a value is (code - zero_point) · scale.
struct Codes {
  double scale = 1.0;
  std::int64_t zero_point = 0;
  std::int64_t first = 0;  // of the 256: -128 where codes have a sign
};

// A part as a variant has it.
struct PartForm {
  torch::jit::Module module;
  std::optional<Codes> codes;  // it is the integer form, and answers a quantized tensor of these
};

using ExampleArgument = std::variant<std::int64_t, double, bool, torch::Tensor>;

// A call that every variant must answer as the float model does.
struct ExampleCall {
  std::string method;
  std::vector<ExampleArgument> arguments;
};

struct Export {
  // Nobody made it for these methods: a variant that cannot be made of it is left out, and why is said.
  bool made_by_others = false;
  std::vector<ExportPart> parts;
  // The whole model of forms in the order of `parts`; takes them over. Has the methods of
  // `signature`. Throws c10::Error.
  std::function<torch::jit::Module(std::vector<PartForm> forms)> compose;
  messages::Signature signature;
  std::vector<ExampleCall> goldens;  // the first one is of the served method
  // The golden call in which each layer runs just once, and nothing else multiplies in float.
  std::size_t counted_golden = 0;
  std::map<std::string, messages::OutputBounds> bounds;  // by output
  std::map<std::string, std::string> about;              // "latent": where latents come from
  // How like two tensors of an output are, 1 for equal ones, and what that is called ("SSIM").
  std::string likeness_name;
  std::function<double(const std::string& output, const torch::Tensor& truth,
                       const torch::Tensor& other)>
      likeness;

  // What compose() adds to the parts, and its multiply-adds for one sample.
  std::function<std::vector<FloatPart>(bool coded)> beside = [](bool) {
    return std::vector<FloatPart>();
  };
  std::int64_t beside_multiply_adds = 0;
  // Modules that stay on the host, as float files: "encoder".
  std::vector<std::pair<std::string, torch::jit::Module>> host_modules;
};

}  // namespace outcrop::kinds
