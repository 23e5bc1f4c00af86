#include "trainer_host/fleet/log/news.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>

namespace outcrop::fleet {
namespace {

constexpr std::chrono::hours again_after{1};
constexpr std::size_t most_shapes = 16;  // whoever fails in ever new words is no news either

// Attempts are counted and times are told: the same failure in other figures.
std::string shape_of(const std::string& text) {
  std::string shape;
  std::copy_if(text.begin(), text.end(), std::back_inserter(shape),
               [](char c) { return (c < '0' || c > '9') && c != '.'; });
  return shape;
}

}  // namespace

bool News::is_new(const std::string& about, const std::string& text, Time now) {
  Shapes& said = said_[about];
  std::erase_if(said, [&](const auto& shape) { return now - shape.second >= again_after; });
  if (said.size() >= most_shapes) return false;
  return said.emplace(shape_of(text), now).second;
}

void News::report(const std::string& about, const Status& status) {
  if (status) {
    said_.erase(about);
  } else if (is_new(about, status.error().message())) {
    spdlog::error("{}: {}", about, status.error().message());
  }
}

}  // namespace outcrop::fleet
