#include "trainer_host/trainer/data/geometry.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/dataset_list.hpp"
#include "trainer_host/trainer/data/npy.hpp"
#include "trainer_host/trainer/data/synth.hpp"

namespace outcrop::data {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Geometry wide() {
  Geometry geometry;
  geometry.depth = 64;
  geometry.width = 96;
  geometry.shots = 3;
  geometry.times = 50;
  geometry.time_step = 0.002;
  geometry.source_columns = {0, 48, 95};
  geometry.slowest = 1400.0F;
  geometry.fastest = 5000.0F;
  return geometry;
}

constexpr const char* json_of_wide =
    R"({"geometry": {"spacing_m": 10, "time_step_s": 0.002, "source_columns": [0, 48, 95],
        "velocity_m_per_s": [1400, 5000], "peak_frequency_hz": 15}})";

class GeometryFolder : public ::testing::Test {
 protected:
  void write(const fs::path& folder, const Geometry& geometry, const std::string& number = "1") {
    fs::create_directories(folder);
    ASSERT_THAT(write_npy(folder / ("model" + number + ".npy"), {1, 1, geometry.depth, geometry.width},
                          std::vector<float>(geometry.map_size(), 4800.0F)),
                IsOk());
    ASSERT_THAT(write_npy(folder / ("data" + number + ".npy"),
                          {1, geometry.shots, geometry.times, geometry.width},
                          std::vector<float>(geometry.gather_size(), 20.0F)),
                IsOk());
  }
  void write_json(const fs::path& folder, const std::string& text) {
    ASSERT_THAT(write_file_durably(folder / "dataset.json", text), IsOk());
  }
  [[nodiscard]] fs::path path(const char* name) const { return folder_.path() / name; }

  TemporaryFolder folder_;
};

TEST(Geometry, spreads_sources_as_openfwi_does) {
  EXPECT_EQ(spread_sources(5, 70), Geometry().source_columns);
  EXPECT_THAT(spread_sources(3, 96), ElementsAre(0, 48, 95));
  EXPECT_THAT(spread_sources(1, 70), ElementsAre(34));
  EXPECT_THAT(spread_sources(2, 16), ElementsAre(0, 15));
}

TEST(Geometry, whole_json_comes_back) {
  const auto again = parse_whole_geometry(nlohmann::json::parse(json_text(whole_geometry_json(wide()))));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, wide());
}

TEST_F(GeometryFolder, is_read_from_shapes_and_dataset_json) {
  write(path("set"), wide());
  write_json(path("set"), json_of_wide);
  const auto set = Dataset::open(path("set"));
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->geometry(), wide());
  EXPECT_EQ(set->velocity(0).size(), wide().map_size());
  EXPECT_EQ(set->gathers(0).size(), wide().gather_size());
  // What samples stand for is part of what they are.
  const std::string digest = set->digest();
  std::string slower = json_of_wide;
  slower.replace(slower.find("5000"), 4, "5500");
  write_json(path("set"), slower);
  EXPECT_NE(Dataset::open(path("set"))->digest(), digest);
}

TEST_F(GeometryFolder, of_foreign_sizes_must_be_told) {
  write(path("set"), wide());
  EXPECT_THAT(Dataset::open(path("set")),
              ErrorIs(ErrorCode::invalid_data,
                      AllOf(HasSubstr("maps of 64x96, 3 shots of 50 steps"), HasSubstr("dataset.json"),
                            HasSubstr(R"({"geometry": {"spacing_m": 10)"),
                            HasSubstr(R"("source_columns": [0, 48, 95])"))));
}

TEST_F(GeometryFolder, that_cannot_be_is_refused_by_name) {
  write(path("set"), wide());
  for (const auto& [from, to, said] :
       {std::tuple{"[0, 48, 95]", "[0, 95]", "2 source columns for 3 shots"},
        {"[0, 48, 95]", "[0, 95, 48]", "a source in column 48"},
        {"[0, 48, 95]", "[0, 48, 96]", "a source in column 96"},
        {"[1400, 5000]", "[5000, 1400]", "the slowest is named first"},
        {"[1400, 5000]", "1400", "velocity_m_per_s is no pair"},
        {"\"spacing_m\": 10", "\"spacing_m\": \"10\"", "spacing_m is no number"},
        {"\"spacing_m\": 10", "\"spacing\": 10", "an unknown 'spacing'"},
        {"\"spacing_m\": 10, ", "", "spacing_m"},
        {"0.002", "0", "a time step of 0 s"},
        {"[1400, 5000]", "[1400, 4700]", "from 1400 to 4700, as the data set's dataset.json says"},
        {"}}", "}", "not JSON"}}) {
    std::string text = json_of_wide;
    text.replace(text.find(from), std::string_view(from).size(), to);
    write_json(path("set"), text);
    EXPECT_THAT(Dataset::open(path("set")), ErrorIs(ErrorCode::invalid_data, HasSubstr(said))) << text;
  }
  // Another program's file says nothing of OpenFWI's sizes.
  write(path("usual"), Geometry());
  write_json(path("usual"), R"({"license": "CC0"})");
  EXPECT_THAT(Dataset::open(path("usual")),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("from 1500 to 4500")));
}

TEST_F(GeometryFolder, is_one_for_all_files_and_folders) {
  write(path("set"), wide());
  write_json(path("set"), json_of_wide);
  Geometry other = wide();
  other.depth = 70;
  write(path("set"), other, "2");
  EXPECT_THAT(Dataset::open(path("set")),
              ErrorIs(ErrorCode::invalid_data,
                      AllOf(HasSubstr("model2.npy: shape (1, 1, 70, 96)"), HasSubstr("(n, 1, 64, 96)"),
                            HasSubstr("model1.npy"))));
  fs::remove(path("set") / "model2.npy");
  fs::remove(path("set") / "data2.npy");
  write(path("deeper"), other);
  write_json(path("deeper"), json_of_wide);
  EXPECT_THAT(DatasetList::open({path("set"), path("deeper")}),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("set: maps of 64x96"), HasSubstr("deeper: maps of 70x96"))));
  write(path("denser"), wide());
  std::string text = json_of_wide;
  text.replace(text.find("10,"), 3, "5,");
  write_json(path("denser"), text);
  EXPECT_THAT(DatasetList::open({path("set"), path("denser")}),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("cells of 10 m"), HasSubstr("cells of 5 m"))));
}

TEST_F(GeometryFolder, made_by_synth_is_read_back) {
  Geometry made = wide();
  made.slowest = 1500.0F;
  SynthOptions options;
  options.geometry = made;
  options.family = Family::flatvel_a;
  options.count = 2;
  options.out = path("made");
  ASSERT_THAT(synthesize(options, {}), IsOk());
  const auto set = Dataset::open(path("made"));
  ASSERT_THAT(set, IsOk());
  EXPECT_EQ(set->geometry(), made);
  options.out = path("waves");
  options.geometry.spacing = 30.0;
  EXPECT_THAT(synthesize(options, {}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("four cells")));
  options.geometry = made;
  options.geometry.time_step = 0.02;
  EXPECT_THAT(synthesize(options, {}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("two steps")));
  options.geometry = made;
  options.geometry.depth = 32;
  EXPECT_THAT(synthesize(options, {}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("layers need")));
  EXPECT_FALSE(fs::exists(path("waves")));
}

}  // namespace
}  // namespace outcrop::data
