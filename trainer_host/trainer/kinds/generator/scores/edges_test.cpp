#include "trainer_host/trainer/kinds/generator/scores/edges.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace outcrop::generator {
namespace {

constexpr std::size_t layer_rows = 70;
constexpr std::size_t layer_columns = 4;

// Two layers, 1000 m/s apart, the step between them spread over `over` rows.
std::vector<float> two_layers(int over) {
  std::vector<float> map(layer_rows * layer_columns);
  for (std::size_t row = 0; row < layer_rows; ++row) {
    const float share = std::clamp((static_cast<float>(row) - 30.0F) / static_cast<float>(over), 0.0F, 1.0F);
    std::fill_n(map.begin() + static_cast<std::ptrdiff_t>(row * layer_columns), layer_columns, 2000.0F + 1000.0F * share);
  }
  return map;
}

TEST(Edges, of_a_sharp_step_are_fine_and_of_a_smooth_one_are_not) {
  EXPECT_NEAR(fine_share(two_layers(1), layer_rows, layer_columns), 0.5, 0.02);
  EXPECT_LT(fine_share(two_layers(4), layer_rows, layer_columns), 0.1);
  EXPECT_LT(fine_share(two_layers(8), layer_rows, layer_columns), fine_share(two_layers(4), layer_rows, layer_columns));
  EXPECT_EQ(fine_share(std::vector<float>(layer_rows * layer_columns, 3000.0F), layer_rows, layer_columns), 0.0);
}

TEST(Edges, that_are_blurred_leave_cells_outside_of_both_layers) {
  const auto truth = two_layers(1);
  EXPECT_EQ(share_in_layer(truth, truth), 1.0);
  // Of eight rows over which the step is spread, seven are in neither layer.
  EXPECT_NEAR(share_in_layer(truth, two_layers(8)), 1.0 - 7.0 / layer_rows, 1e-9);
}

}  // namespace
}  // namespace outcrop::generator
