#include <gmock/gmock.h>

#include <cstdio>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

TEST(Table, aligns_numbers_right_and_text_left) {
  Table table({"variant", "p50 ms"});
  table.add_row({"float", "12.5"});
  table.add_row({"int8-qint8", "3"});
  EXPECT_EQ(table.to_string(),
            "variant     p50 ms\n"
            "──────────  ──────\n"
            "float         12.5\n"
            "int8-qint8       3\n");
}

TEST(HumanDuration, has_two_units_at_most) {
  EXPECT_EQ(human_duration(std::chrono::seconds(8)), "8 s");
  EXPECT_EQ(human_duration(std::chrono::seconds(125)), "2 min 05 s");
  EXPECT_EQ(human_duration(std::chrono::seconds(11400)), "3 h 10 min");
}

TEST(ProgressBar, prints_a_plain_line_each_tenth_where_there_is_no_terminal) {
  std::FILE* out = std::tmpfile();
  ASSERT_NE(out, nullptr);
  {
    ProgressBar bar("making", 100, "samples", out);
    for (int i = 1; i <= 100; ++i) bar.update(static_cast<std::uint64_t>(i), "loss 0.5");
  }
  std::rewind(out);
  std::string text(8192, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), out));
  std::fclose(out);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_THAT(text, HasSubstr("making   50%  50/100 samples"));
  EXPECT_THAT(text, HasSubstr("100%  100/100 samples  in 0 s  loss 0.5"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\r")));
}

}  // namespace
}  // namespace outcrop
