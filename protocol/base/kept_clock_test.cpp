#include "protocol/base/kept_clock.hpp"

#include <gtest/gtest.h>

namespace outcrop {
namespace {

timex state(int status, long largest_error) {
  timex told{};
  told.status = status;
  told.maxerror = largest_error;
  return told;
}

// As the kernel of Debian 12 said them.
TEST(KeptClock, is_one_whose_error_somebody_tells_the_kernel) {
  EXPECT_TRUE(is_kept(state(STA_PLL, 31'500))) << "systemd-timesyncd";
  EXPECT_TRUE(is_kept(state(STA_UNSYNC, 503))) << "chrony 4.3 without rtcsync";
  EXPECT_FALSE(is_kept(state(STA_UNSYNC, 16'000'000))) << "nobody since boot";
}

}  // namespace
}  // namespace outcrop
