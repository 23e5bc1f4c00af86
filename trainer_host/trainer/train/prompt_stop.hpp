#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace outcrop::train {

// Ends the process within two seconds of a stop signal (data::StopSignal), whatever is going on:
// LibTorch, gnuplot and the proof of a release cannot be asked to stop, and whatever a run does may be
// killed at any moment. Work that ends by itself in that time does so undisturbed; the user is told
// at once that the signal was heard. One at a time in a process, while a StopSignal lives.
class PromptStop {
 public:
  PromptStop();
  PromptStop(const PromptStop&) = delete;
  PromptStop& operator=(const PromptStop&) = delete;

  // What the process says on standard error when it is ended from here; it then exits with 1.
  void set_last_words(std::string words);

 private:
  void watch(const std::stop_token& over);
  // Whether the object's life ended meanwhile.
  bool wait(std::unique_lock<std::mutex>& lock, const std::stop_token& over,
            std::chrono::milliseconds time);

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::string last_words_;  // under mutex_
  std::jthread watcher_;    // last: it uses all of the above
};

}  // namespace outcrop::train
