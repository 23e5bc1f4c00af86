#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace outcrop {

// Shows how far long work has come, with the time left. On a terminal one line is redrawn at
// most ten times a second; elsewhere (a log, CI) a plain line is printed each tenth of the way.
// Not for use from several threads at once.
class ProgressBar {
 public:
  // `total` in `unit`s; output goes to standard error, so that standard output stays data.
  ProgressBar(std::string label, std::uint64_t total, std::string unit, std::FILE* out = stderr);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar();  // leaves the last state on the screen and ends the line

  // `note` stands behind the bar: a loss, a rate.
  void update(std::uint64_t done, const std::string& note = {});
  // Ends the bar now; further updates do nothing.
  void finish(const std::string& note = {});

 private:
  using SteadyClock = std::chrono::steady_clock;

  void draw(bool last);

  std::string label_;
  std::string unit_;
  std::string note_;
  std::uint64_t total_;
  std::uint64_t done_ = 0;
  std::uint64_t tenths_printed_ = 0;
  std::FILE* out_;
  bool terminal_;
  bool finished_ = false;
  SteadyClock::time_point start_;
  SteadyClock::time_point drawn_;
};

// "8 s", "2 min 05 s", "3 h 10 min".
[[nodiscard]] std::string human_duration(std::chrono::duration<double> duration);

}  // namespace outcrop
