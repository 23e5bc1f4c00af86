#include "trainer_host/trainer/data/geometry.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_integer.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_cells_a_side = 1024;
constexpr std::size_t most_shots = 64;
constexpr std::size_t most_times = 20'000;
constexpr std::size_t fewest_cells = 16;
constexpr std::size_t fewest_times = 32;

std::string figure(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", value);
  return text.data();
}

std::string sizes_of(const Geometry& geometry) {
  return "maps of " + std::to_string(geometry.depth) + "x" + std::to_string(geometry.width) + ", " +
         std::to_string(geometry.shots) + (geometry.shots == 1 ? " shot of " : " shots of ") +
         std::to_string(geometry.times) + " steps";
}

Status check_between(const char* what, double value, double least, double most, const char* unit) {
  if (value >= least && value <= most) return {};
  return fail(ErrorCode::invalid_argument, std::string(what) + " of " + figure(value) + unit +
                                               "; possible are " + figure(least) + " to " +
                                               figure(most) + unit);
}

Result<double> json_number(const nlohmann::json& object, const char* name) {
  const auto& value = object.at(name);
  if (value.is_number() && std::isfinite(value.get<double>())) return value.get<double>();
  return fail(ErrorCode::invalid_data, std::string(name) + " is no number");
}

// What geometry_json() wrote, onto the sizes.
Status take_rest(const nlohmann::json& json, Geometry& geometry) {
  OUTCROP_TRY(spacing, json_number(json, "spacing_m"));
  OUTCROP_TRY(time_step, json_number(json, "time_step_s"));
  OUTCROP_TRY(frequency, json_number(json, "peak_frequency_hz"));
  geometry.spacing = spacing;
  geometry.time_step = time_step;
  geometry.peak_frequency = frequency;
  geometry.source_columns.clear();
  for (const auto& column : json.at("source_columns")) {
    OUTCROP_TRY(number, json_integer(column, "source_columns", 0, most_cells_a_side));
    geometry.source_columns.push_back(static_cast<std::size_t>(number));
  }
  const auto& bounds = json.at("velocity_m_per_s");
  if (!bounds.is_array() || bounds.size() != 2 || !bounds[0].is_number() || !bounds[1].is_number()) {
    return fail(ErrorCode::invalid_data, "velocity_m_per_s is no pair of numbers");
  }
  geometry.slowest = bounds[0].get<float>();
  geometry.fastest = bounds[1].get<float>();
  if (const Status checked = check(geometry); !checked) {
    return fail(ErrorCode::invalid_data, checked.error().message());
  }
  return {};
}

// `json`, an object of nothing but what is known; nlohmann's exceptions as errors.
Status take_rest_strictly(const nlohmann::json& json, Geometry& geometry,
                          std::initializer_list<std::string_view> more) {
  try {
    if (!json.is_object()) return fail(ErrorCode::invalid_data, "it is no object");
    for (const auto& [key, value] : json.items()) {
      const bool known = geometry_json(geometry).contains(key) ||
                         std::find(more.begin(), more.end(), key) != more.end();
      if (!known) return fail(ErrorCode::invalid_data, "it has an unknown '" + key + "'");
    }
    return take_rest(json, geometry);
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::invalid_data, error.what());
  }
}

// What somebody is to write for files of these sizes.
std::string example_for(const Geometry& sizes) {
  Geometry example = sizes;
  example.source_columns = spread_sources(sizes.shots, sizes.width);
  // One line, with a blank behind each comma and colon as people write it.
  std::string columns;
  for (const std::size_t column : example.source_columns) {
    columns += (columns.empty() ? "" : ", ") + std::to_string(column);
  }
  return "{\"geometry\": {\"spacing_m\": 10, \"time_step_s\": 0.001, \"source_columns\": [" + columns +
         "], \"velocity_m_per_s\": [1500, 4500], \"peak_frequency_hz\": 15}}";
}

}  // namespace

std::vector<std::size_t> spread_sources(std::size_t shots, std::size_t width) {
  if (shots == 1) return {(width - 1) / 2};
  std::vector<std::size_t> columns;
  for (std::size_t shot = 0; shot < shots; ++shot) {
    // To the nearest column, from the middle between two to the even one, as NumPy rounds.
    const std::size_t whole = shot * (width - 1) / (shots - 1);
    const std::size_t rest = 2 * (shot * (width - 1) % (shots - 1));
    const bool up = rest > shots - 1 || (rest == shots - 1 && whole % 2 == 1);
    columns.push_back(whole + (up ? 1 : 0));
  }
  return columns;
}

std::string describe(const Geometry& geometry) {
  return sizes_of(geometry) + " of " + figure(geometry.time_step * 1e3) + " ms at " +
         figure(geometry.peak_frequency) + " Hz, cells of " + figure(geometry.spacing) + " m, " +
         figure(geometry.slowest) + " to " + figure(geometry.fastest) + " m/s";
}

std::pair<std::string, std::string> describe_apart(const Geometry& one, const Geometry& other) {
  if (!one.has_sizes_of(other)) return {sizes_of(one), sizes_of(other)};
  if (describe(one) != describe(other)) return {describe(one), describe(other)};
  const auto sources = [](const Geometry& geometry) {
    std::string text = "sources in the columns";
    for (const std::size_t column : geometry.source_columns) text += " " + std::to_string(column);
    return text;
  };
  return {sources(one), sources(other)};
}

Status check_same_geometry(const Geometry& one, const std::string& whose_one,
                           const Geometry& other, const std::string& whose_other) {
  if (one == other) return {};
  const auto [first, second] = describe_apart(one, other);
  return fail(ErrorCode::invalid_argument, whose_one + ": " + first + "; " + whose_other + ": " +
                                               second + "; one model has one geometry");
}

Status check(const Geometry& geometry) {
  const auto size = [](std::size_t value) { return static_cast<double>(value); };
  OUTCROP_CHECK(check_between("a map's depth", size(geometry.depth), size(fewest_cells),
                              size(most_cells_a_side), " cells"));
  OUTCROP_CHECK(check_between("a map's width", size(geometry.width), size(fewest_cells),
                              size(most_cells_a_side), " cells"));
  OUTCROP_CHECK(check_between("a number", size(geometry.shots), 1, size(most_shots), " shots"));
  OUTCROP_CHECK(check_between("a record", size(geometry.times), size(fewest_times),
                              size(most_times), " steps"));
  OUTCROP_CHECK(check_between("a spacing", geometry.spacing, 0.1, 1000, " m"));
  OUTCROP_CHECK(check_between("a time step", geometry.time_step, 1e-5, 0.1, " s"));
  OUTCROP_CHECK(check_between("a peak frequency", geometry.peak_frequency, 0.1, 1000, " Hz"));
  OUTCROP_CHECK(check_between("a slowest velocity", geometry.slowest, 100, 6000, " m/s"));
  OUTCROP_CHECK(check_between("a fastest velocity", geometry.fastest, 100, 6000, " m/s"));
  if (geometry.slowest >= geometry.fastest) {
    return fail(ErrorCode::invalid_argument, "velocities from " + figure(geometry.slowest) + " to " +
                                                 figure(geometry.fastest) +
                                                 " m/s; the slowest is named first");
  }
  if (geometry.source_columns.size() != geometry.shots) {
    return fail(ErrorCode::invalid_argument,
                std::to_string(geometry.source_columns.size()) + " source columns for " +
                    std::to_string(geometry.shots) + " shots; each has one");
  }
  for (std::size_t i = 0; i < geometry.shots; ++i) {
    const std::size_t column = geometry.source_columns[i];
    if (column < geometry.width && (i == 0 || geometry.source_columns[i - 1] < column)) continue;
    return fail(ErrorCode::invalid_argument,
                "a source in column " + std::to_string(column) +
                    "; columns grow from shot to shot, up to " +
                    std::to_string(geometry.width - 1));
  }
  return {};
}

nlohmann::ordered_json geometry_json(const Geometry& geometry) {
  return {{"spacing_m", geometry.spacing},
          {"time_step_s", geometry.time_step},
          {"source_columns", geometry.source_columns},
          {"velocity_m_per_s", {geometry.slowest, geometry.fastest}},
          {"peak_frequency_hz", geometry.peak_frequency}};
}

nlohmann::ordered_json whole_geometry_json(const Geometry& geometry) {
  nlohmann::ordered_json json = geometry_json(geometry);
  json["map"] = {geometry.depth, geometry.width};
  json["record"] = {geometry.shots, geometry.times};
  return json;
}

Result<Geometry> parse_whole_geometry(const nlohmann::json& json) {
  Geometry geometry;
  try {
    const auto pair = [&](const char* name, std::size_t& first, std::size_t& second) -> Status {
      OUTCROP_TRY(one, json_integer(json.at(name).at(0), name, 1, most_times));
      OUTCROP_TRY(other, json_integer(json.at(name).at(1), name, 1, most_times));
      first = static_cast<std::size_t>(one);
      second = static_cast<std::size_t>(other);
      return {};
    };
    OUTCROP_CHECK(pair("map", geometry.depth, geometry.width));
    OUTCROP_CHECK(pair("record", geometry.shots, geometry.times));
  } catch (const nlohmann::json::exception& error) {
    return fail(ErrorCode::invalid_data, error.what());
  }
  OUTCROP_CHECK(take_rest_strictly(json, geometry, {"map", "record"}));
  return geometry;
}

Result<Geometry> read_geometry(const fs::path& folder, const Geometry& sizes) {
  const fs::path file = folder / "dataset.json";
  Geometry geometry = sizes;
  std::error_code error;
  if (fs::exists(file, error)) {
    OUTCROP_TRY(text, read_text_file(file));
    const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) {
      return fail(ErrorCode::invalid_data, file.string() + ": not JSON");
    }
    if (json.is_object() && json.contains("geometry")) {
      if (const Status taken = take_rest_strictly(json["geometry"], geometry, {}); !taken) {
        return fail(ErrorCode::invalid_data, file.string() + ": geometry: " +
                                                 taken.error().message() + "; needed is " +
                                                 example_for(sizes) + " with your numbers");
      }
      return geometry;
    }
  }
  if (sizes.has_sizes_of(Geometry())) return Geometry();
  return fail(ErrorCode::invalid_data,
              folder.string() + " holds " + sizes_of(sizes) + ", other than OpenFWI's: " +
                  file.string() + " is to say what they stand for, as " + example_for(sizes) +
                  " does with your numbers");
}

}  // namespace outcrop::data
