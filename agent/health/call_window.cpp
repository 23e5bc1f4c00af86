#include "agent/health/call_window.hpp"

#include <algorithm>

namespace outcrop::agent {
namespace {

constexpr std::size_t most_broken = 2;
constexpr std::size_t most_failed = 9;

}  // namespace

void CallWindow::add(CallEnd end) {
  calls_[known_ % length] = end;
  ++known_;
}

std::size_t CallWindow::count(CallEnd end) const {
  const auto known = static_cast<std::ptrdiff_t>(std::min(known_, length));
  return static_cast<std::size_t>(std::count(calls_.begin(), calls_.begin() + known, end));
}

std::optional<std::string> CallWindow::complaint() const {
  const std::string of = "of the last " + std::to_string(std::min(known_, length)) + " calls ";
  const std::size_t broke = count(CallEnd::broke);
  if (broke > most_broken) return of + std::to_string(broke) + " broke their runner";
  const std::size_t failed = broke + count(CallEnd::failed);
  if (failed > most_failed) return of + std::to_string(failed) + " failed";
  return std::nullopt;
}

}  // namespace outcrop::agent
