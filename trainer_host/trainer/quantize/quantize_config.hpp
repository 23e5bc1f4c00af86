#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/mixed_wishes.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"

namespace outcrop::quantize {

// How to quantize, as a TOML file says it: `method` (a name or several), and the numbers of methods that
// choose codes of weights, by the names that GPTQ's and bitsandbytes' programs gave them; [mixed], what int8-mixed keeps to.
struct QuantizeConfig {
  std::vector<std::string> methods;
  std::optional<WeightOptions> weights;
  kinds::MixedWishes mixed;
};

// invalid_argument names file, line and key.
[[nodiscard]] Result<QuantizeConfig> read_quantize_config(const std::filesystem::path& file);

}  // namespace outcrop::quantize
