#include "trainer_host/trainer/kinds/earth/samples.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"

namespace outcrop::earth {
namespace {

using testing::HasSubstr;

TEST(Samples, holding_out_leaves_at_least_two) {
  const TemporaryFolder folder;
  ASSERT_THAT(make_toy_data(folder.path(), 4, 1), IsOk());
  const auto split = open_samples({.train = {folder.path()}, .held_out = 2});
  ASSERT_THAT(split, IsOk());
  EXPECT_EQ(split->training.size(), 2U);
  EXPECT_EQ(split->held_out.velocity(0)[9],
            open_samples({.train = {folder.path()}})->training.velocity(2)[9]);
  EXPECT_THAT(open_samples({.train = {folder.path()}, .held_out = 3}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("at least 2")));
}

TEST(Samples, of_several_folders_stand_one_behind_the_other) {
  const TemporaryFolder folder;
  const auto first = folder.path() / "first", second = folder.path() / "second";
  ASSERT_THAT(make_toy_data(first, 3, 1), IsOk());
  ASSERT_THAT(make_toy_data(second, 2, 2), IsOk());
  const auto both = open_samples({.train = {first, second}, .held_out = 3});
  ASSERT_THAT(both, IsOk());
  EXPECT_EQ(both->training.size(), 2U);
  EXPECT_EQ(both->held_out.size(), 3U);
  const auto alone = open_samples({.train = {second}});
  ASSERT_THAT(alone, IsOk());
  const auto same = [](std::span<const float> a, std::span<const float> b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  EXPECT_TRUE(same(both->held_out.gathers(1), alone->training.gathers(0)));
  EXPECT_TRUE(same(both->held_out.velocity(2), alone->training.velocity(1)));
  // Their order decides which sample comes when; one folder's digest is its own.
  EXPECT_NE(both->summary.digest, open_samples({.train = {second, first}})->summary.digest);
  EXPECT_EQ(alone->summary.digest, data::Dataset::open(second)->digest());
  EXPECT_THAT(open_samples({.train = {first, first}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("hold the same samples")));
}

TEST(Samples, held_out_are_never_those_to_train_on) {
  const TemporaryFolder folder;
  const auto train = folder.path() / "train", copy = folder.path() / "copy";
  const auto other = folder.path() / "other";
  ASSERT_THAT(make_toy_data(train, 3, 1), IsOk());
  ASSERT_THAT(make_toy_data(other, 2, 2), IsOk());
  ASSERT_THAT(make_toy_data(copy, 2, 1), IsOk());  // its first two samples
  EXPECT_THAT(open_samples({.train = {train}, .validation = {train}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: 3 of 3")));
  EXPECT_THAT(open_samples({.train = {train}, .validation = {other, copy}}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("data.validation: 2 of 4")));
  EXPECT_THAT(open_samples({.train = {train}, .validation = {other}}), IsOk());
  // Nor where data hold maps twice.
  EXPECT_THAT(open_samples({.train = {train, copy}, .held_out = 2}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("2 of 2 samples held out")));
  EXPECT_THAT(open_samples({.train = {train, copy}}), IsOk());
}

TEST(Samples, have_the_geometry_of_the_data_or_what_a_model_learned_from) {
  const TemporaryFolder folder;
  ASSERT_THAT(make_toy_data(folder.path(), 2, 1), IsOk());
  data::Geometry wide;
  wide.width = 96;
  wide.source_columns = data::spread_sources(wide.shots, wide.width);
  const auto without = open_samples({.train = {}, .only_scored = true}, wide);
  ASSERT_THAT(without, IsOk());
  EXPECT_EQ(without->geometry, wide);
  EXPECT_THAT(open_samples({.train = {folder.path()}}, wide),
              ErrorIs(ErrorCode::invalid_argument,
                      testing::AllOf(HasSubstr("what the model learned from: maps of 70x96"),
                                     HasSubstr("the data: maps of 70x70"))));
  EXPECT_THAT(open_samples({.train = {folder.path()}}, data::Geometry()), IsOk());

  nlohmann::json shape{{"width", 4}};
  keep_geometry(shape, data::Geometry());
  EXPECT_FALSE(shape.contains("geometry"));  // as descriptions of before
  EXPECT_EQ(*kept_geometry(shape), data::Geometry());
  keep_geometry(shape, wide);
  EXPECT_EQ(*kept_geometry(shape), wide);
  shape["geometry"]["record"] = "none";
  EXPECT_THAT(kept_geometry(shape), ErrorIs(ErrorCode::invalid_data, testing::_));
}

class Fresh : public testing::Test {
 protected:
  Fresh() {
    EXPECT_THAT(make_toy_data(train_, 3, 7), IsOk());
    EXPECT_THAT(say_that_synth_made_it(train_, 3, 7), IsOk());
  }
  static std::vector<float> map_of(FreshMaps fresh, std::int64_t epoch, std::size_t sample) {
    std::vector<float> map(data::grid::map_size);
    fresh.enter(epoch);
    fresh.make(sample, map);
    return map;
  }

  TemporaryFolder folder_;
  std::filesystem::path train_ = folder_.path() / "train";
};

TEST_F(Fresh, maps_go_on_where_the_folder_ends_and_none_comes_twice) {
  const auto fresh = FreshMaps::of({.train = {train_}}, 3, {});
  ASSERT_THAT(fresh, IsOk());
  std::set<std::vector<float>> seen;
  const auto stored = open_samples({.train = {train_}});
  ASSERT_THAT(stored, IsOk());
  for (std::size_t i = 0; i < 3; ++i) {
    seen.emplace(stored->training.velocity(i).begin(), stored->training.velocity(i).end());
    for (const std::int64_t epoch : {0, 1, 2}) seen.insert(map_of(*fresh, epoch, i));
  }
  EXPECT_EQ(seen.size(), 12U);
  std::vector<float> number_eight(data::grid::map_size);
  data::make_velocity_map(data::Family::curvefault_a, 7, 3 + 3 + 2, number_eight);
  EXPECT_EQ(map_of(*fresh, 1, 2), number_eight);
}

TEST_F(Fresh, maps_are_of_one_folder_that_synth_made_and_never_those_held_out) {
  const auto other = folder_.path() / "other";
  ASSERT_THAT(make_toy_data(other, 2, 8), IsOk());
  EXPECT_THAT(FreshMaps::of({.train = {other}}, 2, {}),
              ErrorIs(ErrorCode::unsupported, HasSubstr("was not made by `outcrop synth --family`")));
  EXPECT_THAT(FreshMaps::of({.train = {train_, other}}, 2, {}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("2 folders of training samples; name one")));
  EXPECT_THAT(FreshMaps::of({.train = {train_}, .validation = {other}}, 3, {}), IsOk());
  ASSERT_THAT(say_that_synth_made_it(other, 2, 8), IsOk());
  EXPECT_THAT(FreshMaps::of({.train = {train_}, .validation = {other}}, 3, {}), IsOk());
  ASSERT_THAT(say_that_synth_made_it(other, 2, 7), IsOk());
  EXPECT_THAT(FreshMaps::of({.train = {train_}, .validation = {other}}, 3, {}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("held-out maps would be trained on")));
  for (const auto& [text, words] : {std::pair{R"({"source": {"family": "marble"}, "seed": 1, "samples": 3})", "marble"},
                                    {R"({"source": {"family": "flatvel-a"}, "seed": -1, "samples": 3})", "seed"},
                                    {R"({"source": {"family": "flatvel-a"}, "seed": 1, "samples": 0})", "samples"},
                                    {R"({"source": {"family": "flatvel-a"}, "seed": 1})", "samples"},
                                    {"{", "not JSON"}}) {
    ASSERT_THAT(write_file_durably(other / "dataset.json", text), IsOk());
    const auto refused = FreshMaps::of({.train = {other}}, 2, {});
    ASSERT_FALSE(refused.has_value()) << text;
    EXPECT_THAT(refused.error().message(), testing::AllOf(HasSubstr(words), HasSubstr("dataset.json"))) << text;
  }
}

}  // namespace
}  // namespace outcrop::earth
