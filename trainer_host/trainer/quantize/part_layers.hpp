#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// What methods that put other modules in the place of a network's layers share: each layer by itself.

// "map decoder" of "map_decoder".
[[nodiscard]] std::string spoken(std::string part);

// A part in the layered form (models/layered_form.hpp), and its layers.
struct LayeredPart {
  torch::jit::Module network;
  std::vector<PlannedLayer> layers;
};
// The first row of each argument.
[[nodiscard]] std::vector<torch::Tensor> first_rows(const kinds::ExportPart& part);
// unsupported, with why, where the network has no such form, or it answers otherwise.
[[nodiscard]] Result<LayeredPart> layered(const kinds::ExportPart& part);

// What a method has for one layer: its format, or float with why.
struct Choice {
  std::string format;
  std::string reason;
  std::vector<std::string> others{};  // formats that a plan may give it instead, besides float
};
// A decision for every layer of every part; unsupported where none is anything but float.
[[nodiscard]] Result<std::vector<LayerDecision>> decide_each(
    const kinds::Export& model,
    const std::function<Choice(const PlannedLayer&, const torch::jit::Module& layer)>& choose);

// A layer's replacement.
struct Replacement {
  torch::jit::Module module;
  std::string runs_as;
  bool in_integers = false;
};
// `found`, of a part of that name, with every layer that the plan makes something else than float replaced.
void replace_each(
    const Plan& plan, const std::string& part, const LayeredPart& found, Applied& applied,
    const std::function<Replacement(const PlannedLayer&, const torch::jit::Module& layer, const std::string& format)>&
        make);

}  // namespace outcrop::quantize
