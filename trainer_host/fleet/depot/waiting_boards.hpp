#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>

#include "protocol/blob/chunk_frame.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::fleet {

// One chunk that a board waits for.
struct AskedChunk {
  std::string device;
  std::uint32_t transfer = 0;
  trust::Sha256Digest blob;
  std::uint32_t index = 0;
};

// The chunks that boards wait for, in turns: one of each board, round and round.
class WaitingBoards {
 public:
  // A request of another transfer than before replaces what the board waited for: it pulls one
  // blob at a time. What it waits for already, and what goes beyond 64, is left out.
  void add(const std::string& device, const blob::ChunkRequest& request);
  // The next in turn.
  [[nodiscard]] std::optional<AskedChunk> next();
  // All that this board still waits for.
  void forget(const std::string& device);
  void clear();
  [[nodiscard]] bool empty() const { return turns_.empty(); }

 private:
  struct Board {
    std::uint32_t transfer = 0;
    trust::Sha256Digest blob;
    std::deque<std::uint32_t> indexes;  // never empty
  };
  std::unordered_map<std::string, Board> boards_;  // those that wait
  std::deque<std::string> turns_;                  // each of them once
};

}  // namespace outcrop::fleet
