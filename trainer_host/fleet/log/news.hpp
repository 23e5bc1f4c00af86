#pragma once

#include <chrono>
#include <map>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// Keeps what fails again and again from filling the log: each thing that can fail says why once,
// and the same again after an hour. One thread.
class News {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whether `text` is new of `about`, or was said long ago.
  [[nodiscard]] bool is_new(const std::string& about, const std::string& text,
                            Time now = std::chrono::steady_clock::now());
  // Logs the failure as an error where it is new; a success makes the next failure new.
  void report(const std::string& about, const Status& status);

 private:
  struct Said {
    std::string text;
    Time when;
  };
  std::map<std::string, Said> said_;
};

}  // namespace outcrop::fleet
