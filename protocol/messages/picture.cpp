#include "protocol/messages/picture.hpp"

#include <cfloat>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/base64.hpp"

namespace outcrop::messages {
namespace {

constexpr std::int64_t fewest_points = 2;
constexpr double farthest = FLT_MAX;
constexpr std::size_t longest_gray = (most_points * most_points + 2) / 3 * 4;  // in base64

std::int64_t step_of(std::int64_t size) {
  return (size + most_points - 1) / most_points;
}

std::size_t points_of(std::int64_t size) {
  return static_cast<std::size_t>((size + step_of(size) - 1) / step_of(size));
}

Json drawn_to_json(const Picture::Drawn& drawn) {
  return {{"output", drawn.output},
          {"shape", drawn.shape},
          {"min", drawn.min},
          {"max", drawn.max},
          {"gray", trust::to_base64(as_bytes(drawn.gray))}};
}

Picture::Drawn read_drawn(ObjectReader reader) {
  Picture::Drawn drawn;
  drawn.output = reader.text("output");
  drawn.shape = reader.dimensions("shape");
  drawn.min = reader.number("min", -farthest, farthest);
  drawn.max = reader.number("max", -farthest, farthest);
  const auto gray = trust::from_base64(reader.text("gray", longest_gray));
  reader.done();
  if (!reader.ok()) return drawn;
  const auto grid = grid_of(drawn.shape);
  if (!grid) {
    reader.refuse("shape", "must end with two sizes of at least 2: rows and columns");
  } else if (drawn.max < drawn.min) {
    reader.refuse("max", "must be no less than min");
  } else if (!gray) {
    reader.refuse("gray", gray.error().message());
  } else if (gray->size() != grid->points()) {
    reader.refuse("gray", "must have a byte for each of " + std::to_string(grid->points()) + " points, and has " +
                              std::to_string(gray->size()));
  } else {
    drawn.gray = as_text(*gray);
  }
  return drawn;
}

}  // namespace

std::optional<Grid> grid_of(const std::vector<std::int64_t>& shape) {
  if (shape.size() < 2) return std::nullopt;
  const std::int64_t rows = shape[shape.size() - 2];
  const std::int64_t columns = shape.back();
  if (rows < fewest_points || columns < fewest_points) return std::nullopt;
  return Grid{points_of(rows), points_of(columns), step_of(rows), step_of(columns)};
}

std::string to_json(const Picture& picture) {
  Json json = header_to_json(picture.header, picture_kind);
  json["manifest"] = picture.manifest.hex();
  json["variant"] = picture.variant;
  json["why"] = picture.why;
  json["drawn"] = picture.drawn ? drawn_to_json(*picture.drawn) : Json(nullptr);
  return json_text(json);
}

Result<Picture> parse_picture(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), picture_limit, picture_kind));
  OUTCROP_CHECK(check_type(json, picture_kind, "protocol"));
  ObjectReader reader(json, std::string(picture_kind));
  Picture picture;
  picture.header = read_header(reader, picture_kind);
  picture.manifest = reader.digest("manifest");
  picture.variant = reader.name_or_empty("variant");
  picture.why = reader.text("why", longest_reason);
  if (!reader.null("drawn")) picture.drawn = read_drawn(reader.object("drawn"));
  if (reader.ok() && picture.drawn.has_value() == picture.variant.empty()) {
    reader.refuse("variant", "must say which variant drew, and none where nothing was drawn");
  } else if (reader.ok() && picture.drawn.has_value() != picture.why.empty()) {
    reader.refuse("why", "must say why nothing was drawn, and nothing where something was");
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return picture;
}

}  // namespace outcrop::messages
