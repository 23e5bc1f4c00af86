#include "trainer_host/fleet/depot/waiting_boards.hpp"

#include <algorithm>

namespace outcrop::fleet {

void WaitingBoards::add(const std::string& device, const blob::ChunkRequest& request) {
  const auto [entry, is_new] = boards_.try_emplace(device);
  Board& board = entry->second;
  if (is_new) turns_.push_back(device);
  if (board.transfer != request.transfer || board.blob != request.blob) {
    board = {request.transfer, request.blob, {}};
  }
  for (const std::uint32_t index : request.indexes) {
    if (board.indexes.size() >= blob::most_indexes) break;
    if (std::find(board.indexes.begin(), board.indexes.end(), index) == board.indexes.end()) {
      board.indexes.push_back(index);
    }
  }
}

std::optional<AskedChunk> WaitingBoards::next() {
  if (turns_.empty()) return std::nullopt;
  std::string device = std::move(turns_.front());
  turns_.pop_front();
  const auto entry = boards_.find(device);
  Board& board = entry->second;
  AskedChunk asked{device, board.transfer, board.blob, board.indexes.front()};
  board.indexes.pop_front();
  if (board.indexes.empty()) {
    boards_.erase(entry);
  } else {
    turns_.push_back(std::move(device));
  }
  return asked;
}

void WaitingBoards::forget(const std::string& device) {
  if (boards_.erase(device) != 0) turns_.erase(std::find(turns_.begin(), turns_.end(), device));
}

void WaitingBoards::clear() {
  boards_.clear();
  turns_.clear();
}

}  // namespace outcrop::fleet
