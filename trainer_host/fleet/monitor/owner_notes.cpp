#include "trainer_host/fleet/monitor/owner_notes.hpp"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"

namespace outcrop::fleet::monitor {

Status OwnerNotes::on_held(const std::string& device, bool held, Allowance::Time now) {
  Board& board = boards_[device];
  if (!board.allowance.take(now)) {
    if (++board.not_noted == 1) spdlog::warn("'{}' holds and ends holding too often to be noted each time; where that goes on, revoke it", device);
    return {};
  }
  const nlohmann::json detail = board.not_noted > 0 ? nlohmann::json{{"not_noted", board.not_noted}} : nlohmann::json::object();
  OUTCROP_CHECK(log_->record("owner of " + device, held ? "hold" : "hold-ended", device, json_text(detail)));
  board.not_noted = 0;
  return {};
}

}  // namespace outcrop::fleet::monitor
