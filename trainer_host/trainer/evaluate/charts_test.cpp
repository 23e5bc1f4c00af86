#include "trainer_host/trainer/evaluate/charts.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/evaluate/draw_verb.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/evaluate/panels.hpp"
#include "trainer_host/trainer/evaluate/sample_picture.hpp"

namespace outcrop::evaluate {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr const char* two_stages =
    "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_ssim,held_out_mae_m_per_s,"
    "seconds\n"
    "1,1,0.001,0.5,0.8,,,3\n"
    "2,1,0.001,0.3,0.5,0.61,210,3\n"
    "3,2,0.001,0.2,0.4,0.7,180,3\n";

CurveText generator_curves() {
  return {.labels = {{"velocity_loss", "maps"}, {"held_out_ssim", "SSIM of held-out maps"}},
          .score = "held_out_ssim"};
}

bool is_picture(const std::filesystem::path& path) {
  auto bytes = read_file(path, ByteCount::mib(4));
  return bytes && bytes->size() > 1000 && as_text(*bytes).substr(1, 3) == "PNG";
}

// As its header says: PNG, "11.2.2 IHDR".
PixelSize picture_size(const std::filesystem::path& path) {
  const auto bytes = read_file(path, ByteCount::mib(4));
  if (!bytes || bytes->size() < 24) return {};
  const auto number = [&](std::size_t at) {
    int value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value = value * 256 + std::to_integer<int>((*bytes)[at + i]);
    return value;
  };
  return {.width = number(16), .height = number(20)};
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
  ASSERT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "it's a_model, stage 2", generator_curves()), IsOk());
  EXPECT_TRUE(is_picture(folder.path() / "loss.png"));
}

std::string script_of(const TemporaryFolder& folder, const std::string& csv) {
  const auto file = folder.path() / "training.csv";
  EXPECT_THAT(write_file_durably(file, csv), IsOk());
  const auto script = loss_curve_script(file, "model", generator_curves());
  EXPECT_THAT(script, IsOk());
  EXPECT_THAT(draw_loss_curve(file, folder.path() / "loss.png", "model", generator_curves()), IsOk());
  return script.value_or("");
}

TEST(Charts, loss_curve_of_one_epoch_has_dots_and_whole_ticks) {
  const TemporaryFolder folder;
  const std::string script =
      script_of(folder,
                "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_ssim,"
                "held_out_mae_m_per_s,seconds\n1,1,0.001,0.5,0.8,,,3\n");
  EXPECT_THAT(script, HasSubstr("with linespoints pt 7"));
  EXPECT_THAT(script, HasSubstr("set xtics 1\n"));
  EXPECT_THAT(script, HasSubstr("nothing was held out"));
}

TEST(Charts, loss_curve_shows_what_was_held_out_and_the_learning_rate) {
  const TemporaryFolder folder;
  std::string script = script_of(folder, two_stages);
  EXPECT_THAT(script, AllOf(HasSubstr("$held_out_ssim using 1:2 axes x1y2"),
                            HasSubstr("'learning rate'"), Not(HasSubstr("nothing was held out"))));
  script = script_of(folder,
                     "epoch,stage,velocity_loss,gather_loss,held_out_velocity_loss,"
                     "held_out_gather_loss\n1,1,0.5,0.8,0.6,0.9\n2,1,0.4,0.7,0.5,0.8\n");
  EXPECT_THAT(script,
              AllOf(HasSubstr("$held_out_velocity_loss using"),
                    HasSubstr("$held_out_gather_loss using"), Not(HasSubstr("'learning rate'"))));
}

TEST(Charts, loss_curve_of_many_epochs_keeps_its_ticks_apart) {
  const TemporaryFolder folder;
  std::string csv = "epoch,stage,velocity_loss,gather_loss\n";
  for (int epoch = 1; epoch <= 400; ++epoch) {
    csv += std::to_string(epoch) + "," + std::to_string((epoch + 19) / 20) + ",0.3,0.03\n";
  }
  const std::string script = script_of(folder, csv);
  EXPECT_THAT(script, AllOf(HasSubstr("set xtics 50\n"), HasSubstr("'stage 2'"),
                            Not(HasSubstr("'stage 3'"))));
}

TEST(Charts, loss_curve_names_the_line_that_is_no_number) {
  const TemporaryFolder folder;
  const auto csv = folder.path() / "training.csv";
  ASSERT_THAT(write_file_durably(csv, std::string(two_stages) + "4,2,0.001,oops,0.3,,,3\n"),
              IsOk());
  EXPECT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "model", generator_curves()),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("line 5"), HasSubstr("'oops'"))));
  ASSERT_THAT(write_file_durably(csv, std::string_view("a,b\n1,2\n")), IsOk());
  EXPECT_THAT(draw_loss_curve(csv, folder.path() / "loss.png", "model", generator_curves()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("no column 'epoch'")));
}

TEST(Charts, loss_curve_reads_numbers_strictly) {
  const TemporaryFolder folder;
  const auto csv = folder.path() / "training.csv";
  for (const std::string cell : {"0x10", "+0.3", " 0.3", "0.3 ", "nan", "inf", "1e999"}) {
    ASSERT_THAT(write_file_durably(csv, two_stages + ("4,2,0.001," + cell + ",0.3,,,3\n")), IsOk());
    EXPECT_THAT(loss_curve_script(csv, "model", generator_curves()),
                ErrorIs(ErrorCode::invalid_data,
                        AllOf(HasSubstr(csv.string()), HasSubstr("line 5"),
                              HasSubstr("'" + cell + "' is no number"))));
  }
  ASSERT_THAT(write_file_durably(csv, two_stages + std::string("4,2,0.001\n")), IsOk());
  EXPECT_THAT(loss_curve_script(csv, "model", generator_curves()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("line 5: 3 cells instead of 8")));
}

GalleryRow gallery_row(const std::string& label, float shift) {
  return {.label = label,
          .reference_map = layered_map(shift),
          .model_map = layered_map(shift + 0.1F),
          .map_note = "SSIM 0.81",
          .solver_gather = hyperbola(2000),
          .model_gather = hyperbola(2200),
          .gather_note = "reflections off by 0.9"};
}

TEST(Charts, gallery_is_drawn_in_a_sane_size) {
  const TemporaryFolder folder;
  Gallery gallery{.title = "curvefault, stage 1",
                  .caption = "SSIM 0.8",
                  .reconstructed = {gallery_row("sample 1", 0), gallery_row("sample 2", 0.3F)},
                  .generated = {gallery_row("seed 1", 0.5F)}};
  const auto png = folder.path() / "gallery.png";
  ASSERT_THAT(draw_gallery(gallery, png), IsOk());
  EXPECT_TRUE(is_picture(png));
  EXPECT_LT(std::filesystem::file_size(png), 400'000U);
  // What was generated has rows of its own, with or without training data to compare with.
  const auto height = picture_size(png).height;
  gallery.generated[0].reference_map.clear();
  ASSERT_THAT(draw_gallery(gallery, png), IsOk());
  EXPECT_EQ(picture_size(png).height, height);
  gallery.generated.clear();
  ASSERT_THAT(draw_gallery(gallery, png), IsOk());
  EXPECT_LT(picture_size(png).height, height);
  gallery.reconstructed.clear();
  EXPECT_THAT(draw_gallery(gallery, png), ErrorIs(ErrorCode::invalid_argument, HasSubstr("rows")));
}

TEST(Charts, gathers_are_drawn_on_one_scale_with_gain_in_time) {
  // Ten times the pressure is drawn ten times as strong: no picture has a scale of its own.
  const PanelPlace place{.picture = {.width = 400, .height = 400}};
  std::vector<float> gather(1000 * 70, 0.0F);
  gather[400 * 70] = 1.0F;
  EXPECT_THAT(gather_panel(gather, place), HasSubstr("0.401 0 "));
  gather[400 * 70] = 10.0F;
  EXPECT_THAT(gather_panel(gather, place), HasSubstr("4.01 0 "));
  EXPECT_THAT(pressure_bar(0, 400, place.picture), AllOf(HasSubstr("time"), HasSubstr("[-0.5")));
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
  const auto checked = check_drawing();
  const auto drawn = draw("plot x", {.width = 100, .height = 100}, folder.path() / "none.png");
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(drawn, ErrorIs(ErrorCode::unsupported, HasSubstr("gnuplot-nox")));
  EXPECT_THAT(checked, ErrorIs(ErrorCode::unsupported, HasSubstr("gnuplot-nox")));
  EXPECT_THAT(check_drawing(), IsOk());
}

TEST(Charts, say_what_to_install_where_gnuplot_draws_no_png) {
  const TemporaryFolder folder;
  const auto gnuplot = folder.path() / "gnuplot";
  ASSERT_THAT(write_file_durably(
                  gnuplot, std::string_view("#!/bin/sh\necho 'line 0: unknown or ambiguous "
                                            "terminal type; type just '\"'set terminal'\" >&2\n"
                                            "exit 1\n")),
              IsOk());
  std::filesystem::permissions(gnuplot, std::filesystem::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  const auto checked = check_drawing();
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(checked, ErrorIs(ErrorCode::unsupported, HasSubstr("gnuplot-nox")));
  EXPECT_THAT(check_drawing(), IsOk());
}

int draw_verb(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"outcrop", "draw"});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return cli::run_program("outcrop", "test", static_cast<int>(pointers.size()), pointers.data(),
                          {add_draw});
}

TEST(Draw, writes_png_only_under_a_name_that_says_so) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  const std::vector<float> maps(70 * 70, 2500.0F);
  const std::vector<float> gathers(5 * 1000 * 70, 0.1F);
  ASSERT_THAT(
      runtime::write_tensor_file(
          file, std::vector{runtime::Tensor::of_floats("velocity", {1, 1, 70, 70}, maps),
                            runtime::Tensor::of_floats("seismic", {1, 5, 1000, 70}, gathers)}),
      IsOk());
  const auto out = [&](const char* name) { return (folder.path() / name).string(); };
  EXPECT_EQ(draw_verb({file.string(), "--out", out("g.pdf")}), 2);
  EXPECT_EQ(draw_verb({file.string(), "--out", out("g")}), 2);
  EXPECT_FALSE(std::filesystem::exists(out("g.pdf")));
  EXPECT_EQ(draw_verb({file.string(), "--out", out("g.PNG")}), 0);
  EXPECT_TRUE(is_picture(out("g.PNG")));
}

TEST(Draw, says_what_a_file_is_that_it_cannot_read) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "seis2_1_0.npy";
  ASSERT_THAT(write_file_durably(file, std::string_view("\x93NUMPY, version 1, {'descr': '<f4'}")),
              IsOk());
  EXPECT_THAT(read_samples(file, 4),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("it is a NumPy array (.npy)")));
}

TEST(Draw, refuses_values_that_are_not_finite) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  std::vector<float> maps(70 * 70, 2500.0F);
  maps[3] = std::nanf("");
  maps[4] = HUGE_VALF;
  const std::vector<float> gathers(5 * 1000 * 70, 0.1F);
  ASSERT_THAT(
      runtime::write_tensor_file(
          file, std::vector{runtime::Tensor::of_floats("velocity", {1, 1, 70, 70}, maps),
                            runtime::Tensor::of_floats("seismic", {1, 5, 1000, 70}, gathers)}),
      IsOk());
  EXPECT_THAT(read_samples(file, 4),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("2 of 4900 values of 'velocity'")));
}

TEST(Charts, quoting_leaves_nothing_to_interpret) {
  EXPECT_EQ(quoted("it's\n`ls`"), "'it''s`ls`'");
}

}  // namespace
}  // namespace outcrop::evaluate
