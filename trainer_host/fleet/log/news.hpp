#pragma once

#include <chrono>
#include <map>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Keeps what fails again and again from filling the log: each thing that can fail says why once
// until it went well, and the same again after an hour. The same is what differs in figures only,
// also where several reasons take turns. One thread.
class News {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whether `text` is new of `about`, or was said long ago; of sixteen texts in an hour none is.
  [[nodiscard]] bool is_new(const std::string& about, const std::string& text,
                            Time now = std::chrono::steady_clock::now());
  // Logs the failure as an error where it is new; a success makes the next failure new.
  void report(const std::string& about, const Status& status);

 private:
  using Shapes = std::map<std::string, Time>;  // texts without their figures, and when
  std::map<std::string, Shapes> said_;
};

}  // namespace outcrop::fleet
