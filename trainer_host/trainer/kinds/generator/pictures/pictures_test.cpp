#include <gtest/gtest.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/evaluate/draw_verb.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/gallery.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/panels.hpp"
#include "trainer_host/trainer/kinds/generator/pictures/sample_picture.hpp"

namespace outcrop::generator {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

bool is_picture(const std::filesystem::path& path) {
  auto bytes = read_file(path, ByteCount::mib(4));
  return bytes && bytes->size() > 1000 && as_text(*bytes).substr(1, 3) == "PNG";
}

// As its header says: PNG, "11.2.2 IHDR".
evaluate::PixelSize picture_size(const std::filesystem::path& path) {
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

GalleryRow gallery_row(const std::string& label, float shift) {
  return {.label = label,
          .reference_map = layered_map(shift),
          .model_map = layered_map(shift + 0.1F),
          .map_note = "SSIM 0.81",
          .solver_gather = hyperbola(2000),
          .model_gather = hyperbola(2200),
          .gather_note = "reflections off by 0.9"};
}

TEST(Pictures, gallery_is_drawn_in_a_sane_size) {
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

TEST(Pictures, gathers_are_drawn_on_one_scale_with_gain_in_time) {
  // Ten times the pressure is drawn ten times as strong: no picture has a scale of its own.
  const PanelPlace place{.picture = {.width = 400, .height = 400}};
  std::vector<float> gather(1000 * 70, 0.0F);
  gather[400 * 70] = 1.0F;
  EXPECT_THAT(gather_panel(gather, place), HasSubstr("0.401 0 "));
  gather[400 * 70] = 10.0F;
  EXPECT_THAT(gather_panel(gather, place), HasSubstr("4.01 0 "));
  EXPECT_THAT(pressure_bar(0, 400, place.picture), AllOf(HasSubstr("time"), HasSubstr("[-0.5")));
}

// What a board answered for one subsurface, with values of its map replaced.
std::vector<runtime::Tensor> outputs(std::int64_t samples, const std::vector<float>& odd = {}) {
  const auto count = static_cast<std::size_t>(samples);
  std::vector<float> maps(count * 70 * 70, 2500.0F);
  std::copy(odd.begin(), odd.end(), maps.begin() + 3);
  const std::vector<float> gathers(count * 5 * 1000 * 70, 0.1F);
  return {runtime::Tensor::of_floats("velocity", {samples, 1, 70, 70}, maps),
          runtime::Tensor::of_floats("seismic", {samples, 5, 1000, 70}, gathers)};
}

int draw_verb(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"outcrop", "draw"});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return cli::run_program("outcrop", "test", static_cast<int>(pointers.size()), pointers.data(),
                          {[](CLI::App& app, cli::Action& chosen) {
                            evaluate::add_draw(app, chosen, kinds::built_in_pictures());
                          }});
}

// What `draw` says of a file that it refuses.
std::string refusal(const std::filesystem::path& file) {
  ::testing::internal::CaptureStderr();
  const int status = draw_verb({file.string(), "--out", file.string() + ".png"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(status, 1) << said;
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".png"));
  return said;
}

TEST(Pictures, samples_from_a_board_are_drawn_up_to_six) {
  const TemporaryFolder folder;
  const auto png = folder.path() / "made.png";
  const kinds::SamplePicture picture = sample_picture();
  const auto few = picture.draw(outputs(2), 4, "made on pi-1", png);
  ASSERT_THAT(few, IsOk());
  EXPECT_EQ(*few, 2U);
  EXPECT_TRUE(is_picture(png));
  const auto many = picture.draw(outputs(7), 100, "made on pi-1", png);
  ASSERT_THAT(many, IsOk());
  EXPECT_EQ(*many, 6U);
}

TEST(Draw, a_file_without_gathers_has_no_picture) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  ASSERT_THAT(runtime::write_tensor_file(file, std::vector{outputs(1)[0]}), IsOk());
  EXPECT_THAT(refusal(file), HasSubstr("(velocity); a generator answers velocity, seismic"));
  auto other = outputs(1);
  other[1] = runtime::Tensor::of_floats("seismic", {1, 70}, std::vector<float>(70));
  ASSERT_THAT(runtime::write_tensor_file(file, other), IsOk());
  EXPECT_THAT(refusal(file), HasSubstr("[N, 5, 1000, 70]"));
}

TEST(Draw, writes_png_only_under_a_name_that_says_so) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  ASSERT_THAT(runtime::write_tensor_file(file, outputs(1)), IsOk());
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
  EXPECT_THAT(refusal(file), HasSubstr("it is a NumPy array (.npy)"));
}

TEST(Draw, refuses_values_that_are_not_finite) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "made.safetensors";
  ASSERT_THAT(runtime::write_tensor_file(file, outputs(1, {std::nanf(""), HUGE_VALF})), IsOk());
  EXPECT_THAT(refusal(file), HasSubstr("2 of 4900 values of 'velocity'"));
}

}  // namespace
}  // namespace outcrop::generator
