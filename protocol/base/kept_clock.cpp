#include "protocol/base/kept_clock.hpp"

#include <sys/timex.h>

#include <filesystem>

namespace outcrop {

bool clock_is_synchronised() {
  timex state{};
  const int result = ::adjtimex(&state);
  if (result >= 0) return result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
  std::error_code error;
  return std::filesystem::exists(std::filesystem::path("/") / timesyncd_mark, error);
}

}  // namespace outcrop
