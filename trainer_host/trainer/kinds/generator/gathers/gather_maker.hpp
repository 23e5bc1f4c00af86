#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::generator {

// What makes a generator's gathers. The decoder makes them of the latent, beside the map; all others make them
// of the map that was generated, so that they belong to it:
//   kirchhoff  echoes of learned features of the map, added up at their times, then a U-Net
//   wave       the wave equation on a coarse grid, without weights
//   wave_net   what that makes, corrected by a U-Net
enum class GatherMaker { decoder, kirchhoff, wave, wave_net };

// As configurations and weights call it: "wave+net".
[[nodiscard]] std::string_view name_of(GatherMaker maker);
// invalid_argument with all there are.
[[nodiscard]] Result<GatherMaker> gather_maker(std::string_view name);
[[nodiscard]] inline bool from_map(GatherMaker maker) { return maker != GatherMaker::decoder; }
// Whether it computes waves.
[[nodiscard]] inline bool has_wave(GatherMaker maker) { return maker == GatherMaker::wave || maker == GatherMaker::wave_net; }
// Whether it has weights of its own.
[[nodiscard]] inline bool is_trained(GatherMaker maker) { return maker != GatherMaker::wave; }

}  // namespace outcrop::generator
