#include "protocol/base/kept_clock.hpp"

#include <filesystem>

namespace outcrop {

bool is_kept(const timex& state) {
  constexpr decltype(state.maxerror) nobody_knows = 16'000'000;  // µs; NTP_PHASE_LIMIT of the kernel
  return state.maxerror < nobody_knows;
}

bool clock_is_synchronised() {
  timex state{};
  if (::adjtimex(&state) >= 0) return is_kept(state);
  std::error_code error;
  return std::filesystem::exists(std::filesystem::path("/") / timesyncd_mark, error);
}

}  // namespace outcrop
