#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

// Shows a text again and again: in place of the one before on a terminal, and elsewhere (a log)
// only when it has changed.
class Screen {
 public:
  Screen();
  void show(const std::string& text);
  [[nodiscard]] bool terminal() const { return terminal_; }

 private:
  bool terminal_;
  std::string shown_;
};

// Shows what `text` returns once, or every two seconds until Ctrl-C or an error.
[[nodiscard]] Status show_or_watch(bool watch, const std::function<Result<std::string>()>& text);

}  // namespace outcrop::cli
