#include "trainer_host/trainer/data/dataset.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/data/plausible.hpp"

namespace outcrop::data {
namespace fs = std::filesystem;
namespace {

// What let a data set pass before must let it pass now: another survey has another number.
constexpr const char* survey_version = "survey 1\n";

enum class Role { velocity, gathers };

// Where a file stands in its data set: pairs share a place, and places are sorted by it.
struct Place {
  std::string style;  // "flat" or "fault"
  std::array<unsigned long, 3> numbers{};
  auto operator<=>(const Place&) const = default;
};

struct NamedFile {
  Place place;
  Role role;
};

// "vel4_1_0.npy" with stem "vel" gives {4, 1, 0}; nothing where a name has another form.
std::optional<std::vector<unsigned long>> numbers_of(std::string_view name, std::string_view stem) {
  constexpr std::string_view ending = ".npy";
  if (!name.starts_with(stem) || !name.ends_with(ending) ||
      name.size() < stem.size() + ending.size()) {
    return std::nullopt;
  }
  name.remove_prefix(stem.size());
  name.remove_suffix(ending.size());
  std::vector<unsigned long> numbers;
  const char* at = name.data();
  const char* const end = at + name.size();
  while (true) {
    unsigned long number = 0;
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    numbers.push_back(number);
    if (behind == end) return numbers;
    if (*behind != '_') return std::nullopt;
    at = behind + 1;
  }
}

std::optional<NamedFile> recognize(std::string_view name) {
  const std::pair<std::string_view, Role> flat[]{{"model", Role::velocity},
                                                 {"data", Role::gathers}};
  for (const auto& [stem, role] : flat) {
    const auto numbers = numbers_of(name, stem);
    if (numbers && numbers->size() == 1) return NamedFile{{"flat", {0, 0, (*numbers)[0]}}, role};
  }
  const std::pair<std::string_view, Role> fault[]{{"vel", Role::velocity}, {"seis", Role::gathers}};
  for (const auto& [stem, role] : fault) {
    const auto numbers = numbers_of(name, stem);
    if (numbers && numbers->size() == 3) {
      return NamedFile{{"fault", {(*numbers)[0], (*numbers)[1], (*numbers)[2]}}, role};
    }
  }
  return std::nullopt;
}

std::string partner_name(const Place& place, Role missing) {
  const auto& [first, second, index] = place.numbers;
  const bool velocity = missing == Role::velocity;
  if (place.style == "flat") {
    return (velocity ? "model" : "data") + std::to_string(index) + ".npy";
  }
  return (velocity ? "vel" : "seis") + std::to_string(first) + "_" + std::to_string(second) + "_" +
         std::to_string(index) + ".npy";
}

using Places = std::map<Place, std::map<Role, fs::path>>;

Status collect(const fs::path& folder, Places& places) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.')) continue;  // what file managers leave, "._model1.npy"
    const auto named = recognize(name);
    if (!named) continue;
    const auto [at, fresh] = places[named->place].emplace(named->role, entry.path());
    if (!fresh) {
      return fail(ErrorCode::invalid_data, at->second.string() + " and " + entry.path().string() +
                                               " claim the same place in the data set");
    }
  }
  if (error) {
    return fail(ErrorCode::io, "listing " + folder.string() + ": " + error.message());
  }
  return {};
}

std::string expected_shape(const Shape& sample) {
  std::string expected = "(n";
  for (const std::size_t extent : sample) expected += ", " + std::to_string(extent);
  return expected + ")";
}

// `first`, another file than `array`, has that shape of a sample.
Status check_shape(const NpyArray& array, const Shape& sample, std::string_view what,
                   const NpyArray& first) {
  const auto& shape = array.shape();
  const bool right = !shape.empty() && shape[0] > 0 &&
                     std::equal(shape.begin() + 1, shape.end(), sample.begin(), sample.end());
  if (right) return {};
  const bool alone = array.path() == first.path();
  return fail(ErrorCode::invalid_data,
              array.path().string() + ": shape " + to_string(shape) + "; " + std::string(what) +
                  " have the shape " + expected_shape(sample) +
                  (alone ? "" : ", as those in " + first.path().string() + " do: a data set has one geometry"));
}

// The sizes that a pair of files has, where its shapes are those of maps and their gathers.
std::optional<Geometry> sizes_in(const NpyArray& velocity, const NpyArray& gathers) {
  const Shape& maps = velocity.shape();
  const Shape& records = gathers.shape();
  if (maps.size() != 4 || records.size() != 4 || maps[1] != 1 || maps[3] != records[3] ||
      std::find(maps.begin(), maps.end(), 0U) != maps.end() ||
      std::find(records.begin(), records.end(), 0U) != records.end()) {
    return std::nullopt;
  }
  Geometry sizes;
  sizes.depth = maps[2];
  sizes.width = maps[3];
  sizes.shots = records[1];
  sizes.times = records[2];
  return sizes;
}

Status check_velocities(const NpyArray& array, const Geometry& geometry) {
  const auto [low, high] = std::minmax_element(array.values().begin(), array.values().end());
  // Half a metre a second: what rounding in somebody else's generator may add.
  if (*low >= geometry.slowest - 0.5F && *high <= geometry.fastest + 0.5F) return {};
  const std::string hint = *high < 100 ? " (kilometres a second? multiply by 1000)" : "";
  const bool usual = geometry.slowest == grid::slowest && geometry.fastest == grid::fastest;
  return fail(ErrorCode::invalid_data,
              array.path().string() + ": velocities from " + std::to_string(*low) + " to " +
                  std::to_string(*high) + hint + "; needed are metres a second from " +
                  std::to_string(std::lround(geometry.slowest)) + " to " +
                  std::to_string(std::lround(geometry.fastest)) +
                  (usual ? ", the range of OpenFWI" : ", as the data set's dataset.json says"));
}

}  // namespace

Result<std::vector<FilePair>> find_pairs(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    return fail(ErrorCode::not_found, "data set " + folder.string() + ": no such folder");
  }
  Places places;
  OUTCROP_CHECK(collect(folder, places));
  for (const char* name : {"model", "data"}) {
    if (fs::is_directory(folder / name, error)) OUTCROP_CHECK(collect(folder / name, places));
  }
  std::vector<FilePair> pairs;
  for (const auto& [place, files] : places) {
    for (const Role role : {Role::velocity, Role::gathers}) {
      if (files.contains(role)) continue;
      return fail(ErrorCode::invalid_data, files.begin()->second.string() + " has no partner: " +
                                               partner_name(place, role) + " is missing");
    }
    pairs.push_back({files.at(Role::velocity), files.at(Role::gathers)});
  }
  if (pairs.empty()) {
    return fail(ErrorCode::not_found,
                "data set " + folder.string() +
                    ": no OpenFWI files; expected are pairs such as model1.npy and data1.npy "
                    "(also in model/ and data/), or vel4_1_0.npy and seis4_1_0.npy");
  }
  return pairs;
}

Status Dataset::add(const FilePair& pair) {
  OUTCROP_TRY(velocity, NpyArray::open(pair.velocity));
  OUTCROP_TRY(gathers, NpyArray::open(pair.gathers));
  if (const auto found = sizes_in(velocity, gathers); found && files_.empty()) {
    OUTCROP_TRY(geometry, read_geometry(folder_, *found));
    geometry_ = std::move(geometry);
  }
  const Geometry& sizes = geometry_;
  const Files* first = files_.empty() ? nullptr : &files_.front();
  OUTCROP_CHECK(check_shape(velocity, {1, sizes.depth, sizes.width}, "velocity maps",
                            first == nullptr ? velocity : first->velocity));
  OUTCROP_CHECK(check_shape(gathers, {sizes.shots, sizes.times, sizes.width}, "shot gathers",
                            first == nullptr ? gathers : first->gathers));
  const std::size_t count = velocity.shape()[0];
  if (count != gathers.shape()[0]) {
    return fail(ErrorCode::invalid_data,
                pair.velocity.string() + " holds " + std::to_string(count) + " maps but " +
                    pair.gathers.string() + " gathers for " + std::to_string(gathers.shape()[0]) +
                    "; the numbers must be equal");
  }
  for (std::size_t row = 0; row < count; ++row) samples_.push_back({files_.size(), row});
  files_.push_back({std::move(velocity), std::move(gathers)});
  return {};
}

Result<Dataset> Dataset::open(const fs::path& folder, const KnownDatasets& known) {
  Dataset set;
  set.folder_ = folder;
  set.memory_ = &known;
  OUTCROP_TRY(pairs, find_pairs(folder));
  for (const auto& pair : pairs) OUTCROP_CHECK(set.add(pair));
  set.key_ = set.state_key();
  if (const auto before = set.key_.empty() ? std::nullopt : known.find(set.key_)) {
    set.known_ = *before;
  } else {
    OUTCROP_CHECK(set.survey());
    if (set.is_as_opened()) known.remember(set.key_, set.known_);
  }
  for (const std::string& warning : set.known_.warnings) {
    std::fprintf(stderr, "warning: %s: %s\n", folder.c_str(), warning.c_str());
  }
  return set;
}

Status Dataset::survey() {
  ValueSurvey survey(geometry_);
  for (const Files& pair : files_) {
    OUTCROP_CHECK(pair.velocity.check_finite());
    OUTCROP_CHECK(pair.gathers.check_finite());
    OUTCROP_CHECK(check_velocities(pair.velocity, geometry_));
  }
  for (std::size_t i = 0; i < size(); ++i) survey.add(velocity(i), gathers(i));
  OUTCROP_CHECK(survey.check(folder_));
  known_.warnings = survey.warnings();
  return {};
}

template <class Visit>
void Dataset::visit_files(const Visit& visit) const {
  for (const Files& pair : files_) {
    for (const NpyArray* array : {&pair.velocity, &pair.gathers}) {
      visit(*array, fs::relative(array->path(), folder_).generic_string());
    }
  }
}

std::string Dataset::geometry_text() const {
  return geometry_.is_openfwi() ? "" : json_text(whole_geometry_json(geometry_));
}

std::string Dataset::state_key() const {
  std::string state = survey_version + geometry_text();
  bool settled = true;
  visit_files([&](const NpyArray& array, const std::string& name) {
    const FileStamp& stamp = array.stamp();
    settled = settled && stamp.settled();
    state += name + '\0';
    for (const auto number : {stamp.device, stamp.inode, stamp.size}) {
      state += std::to_string(number) + ' ';
    }
    state += std::to_string(stamp.modified) + ' ' + std::to_string(stamp.changed) + '\n';
  });
  return settled ? trust::sha256(state).hex() : "";
}

bool Dataset::is_as_opened() const {
  bool same = !key_.empty();
  visit_files([&](const NpyArray& array, const std::string&) {
    const auto now = stamp_of(array.path());
    same = same && now && *now == array.stamp();
  });
  return same;
}

std::span<const float> Dataset::velocity(std::size_t i) const {
  const Sample& sample = samples_.at(i);
  return files_[sample.file].velocity.values().subspan(sample.row * geometry_.map_size(),
                                                       geometry_.map_size());
}

std::span<const float> Dataset::gathers(std::size_t i) const {
  const Sample& sample = samples_.at(i);
  return files_[sample.file].gathers.values().subspan(sample.row * geometry_.gather_size(),
                                                      geometry_.gather_size());
}

std::string Dataset::digest() const {
  if (!known_.digest.empty()) return known_.digest;
  trust::Sha256Hasher hasher;
  visit_files([&](const NpyArray& array, const std::string& name) {
    // The zero byte behind a name and the lengths in .npy headers keep names and contents apart.
    hasher.update(as_bytes(name + '\0'));
    hasher.update(array.file_bytes());
  });
  hasher.update(as_bytes(geometry_text()));
  const std::string digest = hasher.finish().hex();
  if (is_as_opened()) memory_->remember(key_, {known_.warnings, digest});
  return digest;
}

}  // namespace outcrop::data
