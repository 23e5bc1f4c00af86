#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

namespace outcrop::agent {

// How a call that was served ended. What made no sense as a question is no call.
enum class CallEnd {
  answered,
  failed,  // by the model, or for want of memory
  broke,   // its runner crashed or hung
};

// The latest calls of what serves, and whether they speak against it: one failure is a request that
// the model does not survive, many are the release.
class CallWindow {
 public:
  void add(CallEnd end);
  void clear() { *this = {}; }
  // "of the last 20 calls 3 broke their runner"; none where all is well.
  [[nodiscard]] std::optional<std::string> complaint() const;

 private:
  static constexpr std::size_t length = 20;
  [[nodiscard]] std::size_t count(CallEnd end) const;

  std::array<CallEnd, length> calls_{};
  std::size_t known_ = 0;  // all since the release serves
};

}  // namespace outcrop::agent
