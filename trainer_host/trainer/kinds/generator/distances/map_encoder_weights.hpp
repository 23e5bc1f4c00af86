#pragma once

#include <cstdint>
#include <span>

namespace outcrop::generator {

// map_encoder.half, as the build put it into the program.
[[nodiscard]] std::span<const std::uint8_t> map_encoder_weights();

}  // namespace outcrop::generator
