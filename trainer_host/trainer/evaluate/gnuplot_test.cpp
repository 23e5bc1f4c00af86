#include "trainer_host/trainer/evaluate/gnuplot.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::evaluate {
namespace {

using ::testing::HasSubstr;

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

TEST(Charts, quoting_leaves_nothing_to_interpret) {
  EXPECT_EQ(quoted("it's\n`ls`"), "'it''s`ls`'");
}

}  // namespace
}  // namespace outcrop::evaluate
