#include "agent/pull/chunk_schedule.hpp"

#include <algorithm>

namespace outcrop::agent {

ChunkSchedule::ChunkSchedule(std::size_t chunks, std::size_t window)
    : have_(chunks), missing_(chunks), window_(std::max<std::size_t>(window, 1)) {}

void ChunkSchedule::arrived(std::uint32_t index) {
  if (have_[index]) return;
  have_[index] = true;
  --missing_;
  while (first_missing_ < have_.size() && have_[first_missing_]) ++first_missing_;
  open_ = std::min(open_ + 1, window_);
  remove_on_its_way(index);
}

// Messages of one depot keep their order: a chunk that a whole window of later ones has overtaken
// was lost.
void ChunkSchedule::remove_on_its_way(std::uint32_t index) {
  const auto found = std::find_if(on_their_way_.begin(), on_their_way_.end(),
                                  [&](const OnItsWay& one) { return one.index == index; });
  if (found == on_their_way_.end()) return;
  for (auto earlier = on_their_way_.begin(); earlier != found; ++earlier) ++earlier->overtaken;
  on_their_way_.erase(found);
  std::erase_if(on_their_way_, [this](const OnItsWay& one) {
    if (one.overtaken < window_) return false;
    again_.push_back(one.index);
    return true;
  });
}

void ChunkSchedule::came_wrong(std::uint32_t index) {
  if (std::erase_if(on_their_way_, [&](const OnItsWay& one) { return one.index == index; }) != 0) {
    again_.push_back(index);
  }
}

void ChunkSchedule::start_over() {
  on_their_way_.clear();
  again_.clear();
  next_ = first_missing_;
  open_ = 1;
}

std::vector<std::uint32_t> ChunkSchedule::ask() {
  std::vector<std::uint32_t> indexes;
  const auto ask_for = [&](std::uint32_t index) {
    if (have_[index]) return;
    indexes.push_back(index);
    on_their_way_.push_back({index});
  };
  while (on_their_way_.size() < open_ && !again_.empty()) {
    ask_for(again_.front());
    again_.pop_front();
  }
  while (on_their_way_.size() < open_ && next_ < have_.size()) {
    ask_for(static_cast<std::uint32_t>(next_++));
  }
  return indexes;
}

}  // namespace outcrop::agent
