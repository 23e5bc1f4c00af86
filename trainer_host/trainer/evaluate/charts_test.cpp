#include "trainer_host/trainer/evaluate/charts.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/evaluate/sample_picture.hpp"

namespace outcrop::evaluate {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr const char* two_stages =
    "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_ssim,held_out_mae_m_per_s,"
    "seconds\n"
    "1,1,0.001,0.5,0.8,,,3\n"
    "2,1,0.001,0.3,0.5,0.61,210,3\n"
    "3,2,0.001,0.2,0.4,0.7,180,3\n";

bool is_picture(const std::filesystem::path& path) {
  auto bytes = read_file(path, ByteCount::mib(4));
  return bytes && bytes->size() > 1000 && as_text(*bytes).substr(1, 3) == "PNG";
}

std::vector<float> layered_map(float shift) {
  std::vector<float> map;
  for (int i = 0; i < 70 * 70; ++i) {
    map.push_back(1600.0F + 600.0F * std::floor(static_cast<float>(i / 70) / 20.0F + shift));
  }
  return map;
}

std::vector<float> hyperbola(float velocity) {
  std::vector<float> gather;
  for (int i = 0; i < 1000 * 70; ++i) {
    const float t = static_cast<float>(i / 70) * 1e-3F;
    const float x = static_cast<float>(i % 70 - 34) * 10.0F;
    const float s = (t - 0.1F - std::sqrt(0.04F + x * x / (velocity * velocity))) * 47.0F;
    gather.push_back(10.0F * (1 - 2 * s * s) * std::exp(-s * s));
  }
  return gather;
}

TEST(Charts, loss_curve_is_drawn_from_training_csv) {
  const TemporaryFolder folder;
  const auto csv = folder.path() / "training.csv";
  ASSERT_THAT(write_file_durably(csv, std::string_view(two_stages)), IsOk());
  ASSERT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "it's a_model, stage 2"), IsOk());
  EXPECT_TRUE(is_picture(folder.path() / "loss.png"));
}

TEST(Charts, loss_curve_names_the_line_that_is_no_number) {
  const TemporaryFolder folder;
  const auto csv = folder.path() / "training.csv";
  ASSERT_THAT(write_file_durably(csv, std::string(two_stages) + "4,2,0.001,oops,0.3,,,3\n"),
              IsOk());
  EXPECT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "model"),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("line 5"), HasSubstr("'oops'"))));
  ASSERT_THAT(write_file_durably(csv, std::string_view("a,b\n1,2\n")), IsOk());
  EXPECT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "model"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("no column 'epoch'")));
}

TEST(Charts, gallery_is_drawn_in_a_sane_size) {
  const TemporaryFolder folder;
  Gallery gallery{.title = "curvefault, stage 1", .caption = "SSIM 0.8", .rows = {}};
  for (int row = 0; row < 2; ++row) {
    const auto shift = static_cast<float>(row) * 0.3F;
    gallery.rows.push_back({.label = "held-out " + std::to_string(row),
                            .true_map = layered_map(shift),
                            .reconstructed_map = layered_map(shift + 0.1F),
                            .generated_map = layered_map(0.5F),
                            .true_gather = hyperbola(2000),
                            .reconstructed_gather = hyperbola(2200),
                            .generated_gather = hyperbola(3000),
                            .reconstruction_note = "SSIM 0.81"});
  }
  const auto png = folder.path() / "gallery.png";
  ASSERT_THAT(draw_gallery(gallery, png), IsOk());
  EXPECT_TRUE(is_picture(png));
  EXPECT_LT(std::filesystem::file_size(png), 400'000U);
}

TEST(Charts, samples_from_a_board_are_drawn) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  const std::vector<float> maps(2 * 70 * 70, 2500.0F);
  const std::vector<float> gathers(2 * 5 * 1000 * 70, 0.1F);
  const auto velocity = runtime::Tensor::of_floats("velocity", {2, 1, 70, 70}, maps);
  const auto seismic = runtime::Tensor::of_floats("seismic", {2, 5, 1000, 70}, gathers);
  ASSERT_THAT(runtime::write_tensor_file(file, std::vector{velocity, seismic}), IsOk());
  const auto samples = read_samples(file, 4);
  ASSERT_THAT(samples, IsOk());
  ASSERT_EQ(samples->size(), 2U);
  EXPECT_THAT(samples->front().map, Each(2500.0F));
  EXPECT_THAT(samples->front().gather, SizeIs(1000 * 70));
  const auto png = folder.path() / "made.png";
  ASSERT_THAT(draw_samples(*samples, "made on pi-1", "int8-qint8", png), IsOk());
  EXPECT_TRUE(is_picture(png));
}

TEST(Charts, a_file_without_gathers_is_no_sample) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  const std::vector<float> maps(70 * 70, 2500.0F);
  const auto velocity = runtime::Tensor::of_floats("velocity", {1, 1, 70, 70}, maps);
  ASSERT_THAT(runtime::write_tensor_file(file, std::vector{velocity}), IsOk());
  EXPECT_THAT(read_samples(file, 4),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("[N, 5, 1000, 70]")));
}

TEST(Charts, a_script_that_gnuplot_refuses_leaves_no_picture) {
  const TemporaryFolder folder;
  const auto png = folder.path() / "none.png";
  EXPECT_THAT(draw("plot nothing_there(x)", {.width = 100, .height = 100}, png),
              ErrorIs(ErrorCode::internal, HasSubstr("nothing_there")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Charts, say_what_to_install_where_gnuplot_is_missing) {
  const TemporaryFolder folder;
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  const auto drawn = draw("plot x", {.width = 100, .height = 100}, folder.path() / "none.png");
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(drawn, ErrorIs(ErrorCode::unsupported, HasSubstr("gnuplot-nox")));
}

TEST(Charts, quoting_leaves_nothing_to_interpret) {
  EXPECT_EQ(quoted("it's\n`ls`"), "'it''s`ls`'");
}

}  // namespace
}  // namespace outcrop::evaluate
