#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a board drew with what serves (SCHEMA.md, "Picture"): said once for each Draw of the host, in an envelope
// signed by the board's key; parse the verified payload only.

inline constexpr ByteCount picture_limit = ByteCount::kib(24);
inline constexpr std::string_view picture_kind = "picture";  // of its envelope
inline constexpr std::int64_t most_points = 128;             // along each side

// Which points of a map of any size a picture has: every so many rows and columns, the first among them, as few as
// leave most_points along each side.
struct Grid {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::int64_t row_step = 1;
  std::int64_t column_step = 1;
  bool operator==(const Grid&) const = default;
  [[nodiscard]] std::size_t points() const { return rows * columns; }
};
// Of the last two sizes; none where there are fewer, or one of them is below 2: that is no map.
[[nodiscard]] std::optional<Grid> grid_of(const std::vector<std::int64_t>& shape);

struct Picture {
  DeviceHeader header;
  trust::Sha256Digest manifest;  // of the release that was to draw
  std::string variant;           // that drew; empty where nothing was drawn
  std::string why;               // nothing was drawn; empty where something was
  struct Drawn {
    std::string output;               // of the method that boards serve, the first
    std::vector<std::int64_t> shape;  // of all of it; the first map of it was drawn
    double min = 0, max = 0;          // of the values that were drawn
    std::string gray;                 // a byte for each point of grid_of(shape), row by row: 0 is min, 255 is max
    bool operator==(const Drawn&) const = default;

    [[nodiscard]] double value(std::size_t point) const {
      return min + static_cast<unsigned char>(gray[point]) / 255.0 * (max - min);
    }
  };
  std::optional<Drawn> drawn;
  bool operator==(const Picture&) const = default;
};

[[nodiscard]] std::string to_json(const Picture& picture);
[[nodiscard]] Result<Picture> parse_picture(BytesView verified);

}  // namespace outcrop::messages
