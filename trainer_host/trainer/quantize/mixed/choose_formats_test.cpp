#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::quantize {
namespace {

std::vector<LayerFigures> drawn_chain(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> time(0.1, 2.0);
  std::uniform_real_distribution<double> exponent(-6.0, -2.0);
  std::vector<LayerFigures> layers(count);
  for (LayerFigures& layer : layers) {
    layer = {.int8_ms = time(random), .float_ms = time(random), .enter_ms = 0.1 * time(random),
             .leave_ms = 0.1 * time(random), .noise = std::pow(10.0, exponent(random)), .more_bytes = 1000 * time(random)};
  }
  layers.front().first = true;
  layers.back().end_ms = 0.1;
  return layers;
}

// By trying all.
Whole best_of_all(const std::vector<LayerFigures>& layers, const kinds::MixedWishes& wishes) {
  Whole best{.ms = 1e9, .bytes = 1e9, .noise = 1e9};
  for (std::size_t bits = 0; bits < (std::size_t{1} << layers.size()); ++bits) {
    Formats formats(layers.size());
    for (std::size_t i = 0; i < layers.size(); ++i) formats[i] = ((bits >> i) & 1U) != 0;
    const Whole whole = predicted(layers, formats, {});
    if (keeps(whole, wishes) && is_better(whole, best, wishes.wanted())) best = whole;
  }
  return best;
}

Whole chosen(const std::vector<LayerFigures>& layers, const kinds::MixedWishes& wishes) {
  const auto judge = [&](const Formats& formats) { return predicted(layers, formats, {}); };
  return judge(best_formats(layers, wishes, judge));
}

TEST(Wishes, are_read_strictly) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& text) -> Result<kinds::MixedWishes> {
    const auto file = folder.path() / "q.toml";
    std::ofstream(file) << "mixed = { " << text << " }\n";
    OUTCROP_TRY(reader, platform::TomlReader::open(file));
    auto root = reader.root();
    auto table = root.table("mixed");
    const auto wishes = kinds::read_mixed_wishes(table);
    table.finish();
    root.finish();
    OUTCROP_CHECK(reader.status());
    return wishes;
  };
  const auto wishes = read("budget_ms = 2.5, budget_size = 90000, min_db = 30");
  ASSERT_THAT(wishes, IsOk());
  EXPECT_EQ(kinds::in_words(*wishes), "the fastest with at most 2.5 ms, at most 90.00 kB, at least 30 dB");
  EXPECT_THAT(read("aim = \"fame\""), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("accuracy, speed, size")));
  EXPECT_THAT(read("budget = 3"), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("budget")));
  EXPECT_THAT(read("budget_ms = -1"), ErrorIs(ErrorCode::invalid_argument, testing::HasSubstr("budget_ms")));
}

TEST(Borders, are_paid_where_float_and_int8_meet) {
  std::vector<LayerFigures> layers(3, {.int8_ms = 1.0, .float_ms = 2.0, .enter_ms = 0.25, .leave_ms = 0.5});
  layers.front().first = true;
  layers.back().end_ms = 0.125;
  EXPECT_DOUBLE_EQ(predicted(layers, {true, true, true}, {}).ms, 3 + 0.25 + 0.125);
  EXPECT_DOUBLE_EQ(predicted(layers, {false, false, false}, {}).ms, 6);
  EXPECT_DOUBLE_EQ(predicted(layers, {true, false, true}, {.ms = 10.0}).ms, 14 + 0.25 + 0.5 + 0.25 + 0.125);
}

TEST(BestFormats, are_those_of_trying_all_of_short_chains) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    const auto layers = drawn_chain(8, seed);
    for (const kinds::MixedWishes& wishes :
         {kinds::MixedWishes{.budget_ms = 8.0}, kinds::MixedWishes{.budget_size = ByteCount(3000)},
          kinds::MixedWishes{.min_db = 30.0}, kinds::MixedWishes{.budget_ms = 9.0, .aim = kinds::Aim::size}}) {
      EXPECT_FALSE(is_better(best_of_all(layers, wishes), chosen(layers, wishes), wishes.wanted()));
    }
  }
}

TEST(BestFormats, of_longer_chains_are_near_the_best_and_keep_the_budget) {
  for (const std::uint32_t seed : {1U, 4U, 6U}) {
    const auto layers = drawn_chain(15, seed);
    const Whole ends = predicted(layers, Formats(15, false), {});
    const kinds::MixedWishes wishes{.budget_ms = 15.0, .budget_size = ByteCount(static_cast<std::uint64_t>(0.6 * ends.bytes))};
    const Whole found = chosen(layers, wishes);
    const Whole best = best_of_all(layers, wishes);
    EXPECT_EQ(keeps(found, wishes), keeps(best, wishes)) << seed;
    EXPECT_LE(found.noise, 1.2 * best.noise) << seed;
  }
}

TEST(BestFormats, that_nothing_keeps_are_the_nearest) {
  const auto layers = drawn_chain(6, 3);
  const kinds::MixedWishes wishes{.budget_ms = 0.01};
  EXPECT_FALSE(keeps(chosen(layers, wishes), wishes));
  EXPECT_DOUBLE_EQ(chosen(layers, wishes).ms, best_of_all(layers, {.aim = kinds::Aim::speed}).ms);
}

}  // namespace
}  // namespace outcrop::quantize
