#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/error.hpp"

namespace outcrop::data {

// The geometry of every OpenFWI 2-D family: depth by distance, a receiver in every column.
namespace grid {
inline constexpr std::size_t depth = 70;    // rows of a velocity map, row 0 at the surface
inline constexpr std::size_t width = 70;    // columns, also receivers
inline constexpr std::size_t shots = 5;     // gathers a map
inline constexpr std::size_t times = 1000;  // recorded steps of a gather
inline constexpr float spacing = 10.0F;     // metres
inline constexpr float time_step = 0.001F;  // seconds
inline constexpr float slowest = 1500.0F;   // metres a second
inline constexpr float fastest = 4500.0F;
inline constexpr std::size_t map_size = depth * width;
inline constexpr std::size_t gather_size = shots * times * width;
}  // namespace grid

// What the samples of a data set have in common: sizes, and what these stand for. It belongs to the
// data set: sizes are read from its files, the rest from its dataset.json (docs/data.md). By default
// OpenFWI's.
struct Geometry {
  std::size_t depth = grid::depth;
  std::size_t width = grid::width;  // columns of a map, a receiver in each
  std::size_t shots = grid::shots;
  std::size_t times = grid::times;
  double spacing = 10.0;     // metres between cells, in both directions
  double time_step = 0.001;  // seconds between recorded steps; step i is at (i + 1) time steps
  std::vector<std::size_t> source_columns{0, 17, 34, 52, 69};  // of each shot, growing
  float slowest = grid::slowest;  // bounds of the maps, metres a second
  float fastest = grid::fastest;
  double peak_frequency = 15.0;  // of the Ricker source, hertz

  bool operator==(const Geometry&) const = default;

  [[nodiscard]] std::size_t map_size() const { return depth * width; }
  [[nodiscard]] std::size_t shot_size() const { return times * width; }  // one gather: time, receiver
  [[nodiscard]] std::size_t gather_size() const { return shots * shot_size(); }
  [[nodiscard]] bool is_openfwi() const { return *this == Geometry(); }
  [[nodiscard]] bool has_sizes_of(const Geometry& other) const {
    return depth == other.depth && width == other.width && shots == other.shots &&
           times == other.times;
  }
};

// Sources of `shots` shots, spread over all columns, from the first to the last; one stands in the
// middle. What OpenFWI has for its own numbers.
[[nodiscard]] std::vector<std::size_t> spread_sources(std::size_t shots, std::size_t width);

// "maps of 70x70, 5 shots of 1000 steps of 1 ms at 15 Hz, cells of 10 m, 1500 to 4500 m/s".
[[nodiscard]] std::string describe(const Geometry& geometry);
// "maps of 64x96, 3 shots of 500 steps; maps of 70x70, 5 shots of 1000 steps": sizes alone where those
// differ, else all.
[[nodiscard]] std::pair<std::string, std::string> describe_apart(const Geometry& one,
                                                                 const Geometry& other);

// invalid_argument, with both, where they differ: one model has one geometry.
[[nodiscard]] Status check_same_geometry(const Geometry& one, const std::string& whose_one,
                                         const Geometry& other, const std::string& whose_other);

// Whether it can be recorded and read: sizes, spacing, steps, columns and bounds within what the
// programs handle. invalid_argument says which is not, and what would be right.
[[nodiscard]] Status check(const Geometry& geometry);

// The "geometry" of a dataset.json: what the shapes of its files do not tell.
[[nodiscard]] nlohmann::ordered_json geometry_json(const Geometry& geometry);
// The whole of it on one line, as descriptions of networks keep it, and back. invalid_data.
[[nodiscard]] nlohmann::ordered_json whole_geometry_json(const Geometry& geometry);
[[nodiscard]] Result<Geometry> parse_whole_geometry(const nlohmann::json& json);

// Of a data set in `folder` whose files have the `sizes` (depth, width, shots, times): the rest from its
// dataset.json, or OpenFWI's where that does not say and the sizes are OpenFWI's. invalid_data where
// neither is so, with what to write; where dataset.json says what cannot be.
[[nodiscard]] Result<Geometry> read_geometry(const std::filesystem::path& folder,
                                             const Geometry& sizes);

}  // namespace outcrop::data
