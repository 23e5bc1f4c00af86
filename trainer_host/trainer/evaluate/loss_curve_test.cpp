#include "trainer_host/trainer/evaluate/loss_curve.hpp"

#include <gtest/gtest.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::evaluate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST(LossCurve, is_drawn_from_training_csv) {
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

TEST(LossCurve, of_one_epoch_has_dots_and_whole_ticks) {
  const TemporaryFolder folder;
  const std::string script =
      script_of(folder,
                "epoch,stage,learning_rate,velocity_loss,gather_loss,held_out_ssim,"
                "held_out_mae_m_per_s,seconds\n1,1,0.001,0.5,0.8,,,3\n");
  EXPECT_THAT(script, HasSubstr("with linespoints pt 7"));
  EXPECT_THAT(script, HasSubstr("set xtics 1\n"));
  EXPECT_THAT(script, HasSubstr("nothing was held out"));
}

TEST(LossCurve, shows_what_was_held_out_and_the_learning_rate) {
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

TEST(LossCurve, of_many_epochs_keeps_its_ticks_apart) {
  const TemporaryFolder folder;
  std::string csv = "epoch,stage,velocity_loss,gather_loss\n";
  for (int epoch = 1; epoch <= 400; ++epoch) {
    csv += std::to_string(epoch) + "," + std::to_string((epoch + 19) / 20) + ",0.3,0.03\n";
  }
  const std::string script = script_of(folder, csv);
  EXPECT_THAT(script, AllOf(HasSubstr("set xtics 50\n"), HasSubstr("'stage 2'"),
                            Not(HasSubstr("'stage 3'"))));
}

TEST(LossCurve, names_the_line_that_is_no_number) {
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

TEST(LossCurve, reads_numbers_strictly) {
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

}  // namespace
}  // namespace outcrop::evaluate
