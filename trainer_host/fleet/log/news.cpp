#include "trainer_host/fleet/log/news.hpp"

#include <spdlog/spdlog.h>

namespace outcrop::fleet {
namespace {

constexpr std::chrono::hours again_after{1};

}  // namespace

bool News::is_new(const std::string& about, const std::string& text, Time now) {
  Said& said = said_[about];
  if (said.text == text && now - said.when < again_after) return false;
  said = {text, now};
  return true;
}

void News::report(const std::string& about, const Status& status) {
  if (status) {
    said_.erase(about);
  } else if (is_new(about, status.error().message())) {
    spdlog::error("{}: {}", about, status.error().message());
  }
}

}  // namespace outcrop::fleet
