#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

// Shows a text again and again: in place of the one before on a terminal, and elsewhere (a log)
// only when it has changed. Where standard output cannot be written, or nobody reads it any more,
// all calls say so (io, no_space).
class Screen {
 public:
  Screen();
  [[nodiscard]] Status show(const std::string& text);
  // Below what is shown, once and at once: a line of news.
  [[nodiscard]] Status append(const std::string& text);
  // Until the time is over, or standard output is lost.
  [[nodiscard]] Status wait(std::chrono::milliseconds time) const;
  [[nodiscard]] bool terminal() const { return terminal_; }

 private:
  bool terminal_;
  std::string shown_;
};

// Shows what `text` returns once, or every two seconds until Ctrl-C, an error, or the loss of
// standard output.
[[nodiscard]] Status show_or_watch(bool watch, const std::function<Result<std::string>()>& text);

}  // namespace outcrop::cli
