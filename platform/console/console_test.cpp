#include <fcntl.h>
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "platform/console/columns.hpp"
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

TEST(Table, gives_a_terminal_no_orders_of_others) {
  Table table({"name", "why"});
  table.add_row({"a\x1b[31m", "b\u009b1m\nc\x7f"});
  EXPECT_EQ(table.to_string(), "name    why\n──────  ───────\na?[31m  b?1m?c?\n");
}

TEST(Table, leaves_out_what_is_needed_least_and_says_so) {
  Table table({"board", "first", "load", "p90 ms"});
  table.less_needed({"load", "first"});
  table.add_row({"pi-1", "180", "0.012", "19.0"});
  EXPECT_THAT(table.to_string(27), HasSubstr("pi-1     180  0.012    19.0"));
  EXPECT_EQ(table.to_string(22),
            "board  first  p90 ms\n"
            "─────  ─────  ──────\n"
            "pi-1     180    19.0\n"
            "(left out, for want\n"
            "  of room: load)\n");
  EXPECT_THAT(table.to_string(14), HasSubstr("pi-1     19.0\n"));
}

TEST(Table, folds_the_widest_column_where_nothing_more_can_be_left_out) {
  Table table({"board", "at"});
  table.add_row({"pi-1", "waits for the measurement lock"});
  table.add_row({"pi-2", "serves"});
  EXPECT_EQ(table.to_string(24),
            "board  at\n"
            "─────  ─────────────────\n"
            "pi-1   waits for the\n"
            "       measurement lock\n"
            "pi-2   serves\n");
}

TEST(Columns, text_is_broken_between_words_and_long_words_anywhere) {
  EXPECT_EQ(wrapped("a word — and more", 10), "a word —\n  and more\n");
  EXPECT_EQ(wrapped("short\nlines", 10), "short\nlines\n");
  EXPECT_EQ(wrapped("never broken", 0), "never broken\n");
  EXPECT_EQ(wrapped("ääääääääää", 6), "ääää\n  ääää\n  ää\n");
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

// What a bar writes to a terminal of so many columns.
std::string on_terminal(unsigned short columns, const std::string& label) {
  const int keyboard = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_EQ(::grantpt(keyboard), 0);
  EXPECT_EQ(::unlockpt(keyboard), 0);
  const int screen = ::open(::ptsname(keyboard), O_RDWR | O_NOCTTY);
  const winsize size{24, columns, 0, 0};
  EXPECT_EQ(::ioctl(screen, TIOCSWINSZ, &size), 0);
  std::FILE* out = ::fdopen(screen, "w");
  {
    ProgressBar bar(label, 100, "samples", out);
    bar.update(55);
    bar.finish("loss 0.5");
  }
  std::fclose(out);
  std::string text;
  std::array<char, 512> part{};
  for (ssize_t got = 0; (got = ::read(keyboard, part.data(), part.size())) > 0;) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  ::close(keyboard);
  return text;
}

class OnTerminal : public ::testing::Test {
 protected:
  OnTerminal() {
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
  }
};

TEST_F(OnTerminal, redraws_one_line) {
  const std::string text = on_terminal(100, "making");
  EXPECT_THAT(text, HasSubstr("\033[K"));
  EXPECT_THAT(text, HasSubstr("█"));
  EXPECT_THAT(text, HasSubstr(" 55%  55/100 samples"));
}

TEST_F(OnTerminal, keeps_the_percentage_in_twenty_columns) {
  for (const char* label : {"synth", "stage 12, epoch 400", ""}) {
    EXPECT_THAT(on_terminal(20, label), HasSubstr(" 55%")) << label;
  }
  EXPECT_THAT(on_terminal(20, "synth"), HasSubstr("█"));
}

TEST_F(OnTerminal, has_no_escapes_where_the_terminal_is_dumb_or_its_owner_wants_none) {
  ::setenv("TERM", "dumb", 1);
  EXPECT_THAT(on_terminal(80, "making"), ::testing::Not(HasSubstr("\033")));
  ::setenv("TERM", "xterm", 1);
  ::setenv("NO_COLOR", "1", 1);
  EXPECT_THAT(on_terminal(80, "making"), ::testing::Not(HasSubstr("\033")));
  ::unsetenv("TERM");
  ::unsetenv("NO_COLOR");
  EXPECT_THAT(on_terminal(80, "making"), ::testing::Not(HasSubstr("\033")));
}

}  // namespace
}  // namespace outcrop
