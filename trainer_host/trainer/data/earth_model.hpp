#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::data {

// Families of velocity maps in the style of OpenFWI's "A" versions, whose generator was never
// released: two to four layers of constant velocity, growing with depth.
enum class Family {
  flatvel_a,     // flat layers
  curvefault_a,  // layers bent to a sine and cut by one straight fault, one side shifted along it
};

// "flatvel-a", "curvefault-a".
[[nodiscard]] std::string_view to_string(Family family);
[[nodiscard]] Result<Family> parse_family(std::string_view name);

// Writes the map of sample `sample` of the set with this seed: depth*width velocities in m/s within the
// geometry's bounds, row 0 at the surface. Shapes are counted in cells, whatever a cell's size: `depth`
// must be `least_depth` at least. Depends on nothing but its arguments, down to the last bit, on any machine whose
// double arithmetic follows IEEE 754.
void make_velocity_map(Family family, std::uint64_t seed, std::uint64_t sample,
                       std::span<float> velocity, const Geometry& geometry = {});
inline constexpr std::size_t least_depth = 40;

// What each cell of such a map is.
namespace cell {
inline constexpr std::size_t classes = 5;
inline constexpr std::int64_t fault_zone = 4;  // below it: the layers, 0 the uppermost
inline constexpr double fault_zone_reach = 2.0;  // cells to either side of the fault, across it
// "layer 1" to "layer 4", "fault zone".
[[nodiscard]] std::string_view name(std::int64_t value);
}  // namespace cell

// The classes of the cells of make_velocity_map with the same arguments: as many.
void make_labels(Family family, std::uint64_t seed, std::uint64_t sample,
                 std::span<std::int64_t> labels, const Geometry& geometry = {});

// sin(2 pi turns) to about 1e-13, from operations that IEEE 754 fixes to the bit; the
// mathematics library's last bit differs between machines.
[[nodiscard]] double sine_of_turns(double turns);

}  // namespace outcrop::data
