#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace outcrop::agent {

// Which chunks are here, which are on their way and which to ask for next: in order, as many on
// their way as the window allows. The window opens with each chunk that comes, so that a slow link
// is not filled with what will be asked for again.
class ChunkSchedule {
 public:
  ChunkSchedule(std::size_t chunks, std::size_t window);

  // The chunk is here: it came, or lay on the disk.
  void arrived(std::uint32_t index);
  // What came was not that chunk.
  void came_wrong(std::uint32_t index);
  // Nothing is on its way any more.
  void start_over();
  // What to ask for now; it is on its way from here on.
  [[nodiscard]] std::vector<std::uint32_t> ask();

  [[nodiscard]] std::size_t chunks() const { return have_.size(); }
  [[nodiscard]] bool has(std::uint32_t index) const { return have_[index]; }
  [[nodiscard]] bool complete() const { return missing_ == 0; }

 private:
  struct OnItsWay {
    std::uint32_t index;
    std::size_t overtaken = 0;  // by chunks that were asked for later
  };
  void remove_on_its_way(std::uint32_t index);

  std::vector<bool> have_;
  std::size_t missing_;
  std::size_t window_;
  std::size_t open_ = 1;                // 1 to window_
  std::size_t first_missing_ = 0;       // all before are here
  std::size_t next_ = 0;                // all before were asked for, are here or stand in again_
  std::vector<OnItsWay> on_their_way_;  // in the order of asking
  std::deque<std::uint32_t> again_;
};

}  // namespace outcrop::agent
