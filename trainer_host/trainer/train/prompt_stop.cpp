#include "trainer_host/trainer/train/prompt_stop.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "trainer_host/trainer/data/stop_signal.hpp"

namespace outcrop::train {
namespace {

using std::chrono_literals::operator""ms;

constexpr auto interval = 50ms;  // at which the signal is looked for
constexpr auto unsaid = 200ms;   // most work ends in that time, and says so itself
constexpr auto grace = 1300ms;

// A progress bar may stand on the line.
void say_below_bar(const std::string& words) {
  std::fprintf(stderr, "%s%s\n", ::isatty(STDERR_FILENO) == 1 ? "\n" : "", words.c_str());
}

}  // namespace

PromptStop::PromptStop() : watcher_([this](const std::stop_token& over) { watch(over); }) {}

void PromptStop::set_last_words(std::string words) {
  const std::lock_guard lock(mutex_);
  last_words_ = std::move(words);
}

bool PromptStop::wait(std::unique_lock<std::mutex>& lock, const std::stop_token& over,
                      std::chrono::milliseconds time) {
  wake_.wait_for(lock, over, time, [] { return false; });
  return over.stop_requested();
}

void PromptStop::watch(const std::stop_token& over) {
  std::unique_lock lock(mutex_);
  while (!data::StopSignal::requested()) {
    if (wait(lock, over, interval)) return;
  }
  if (wait(lock, over, unsaid)) return;
  say_below_bar("the signal to stop was heard; this ends within two seconds");
  if (wait(lock, over, grace)) return;
  say_below_bar(last_words_);
  std::_Exit(EXIT_FAILURE);
}

}  // namespace outcrop::train
