#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "platform/console/progress_bar.hpp"

namespace outcrop {

// A progress bar for work that calls back with (steps done, steps in all, what comes next) and
// knows its total only then. Copies share one bar: hand one to the work, keep one to finish.
class StepProgress {
 public:
  explicit StepProgress(std::string label) : state_(std::make_shared<State>()) {
    state_->label = std::move(label);
  }

  void operator()(std::size_t done, std::size_t total, const std::string& next) const {
    if (!state_->bar) state_->bar = std::make_unique<ProgressBar>(state_->label, total, "steps");
    state_->bar->update(done, next);
  }

  // Ends the line, so that what is printed next starts on its own.
  void finish() const { state_->bar.reset(); }

 private:
  struct State {
    std::string label;
    std::unique_ptr<ProgressBar> bar;
  };
  std::shared_ptr<State> state_;
};

}  // namespace outcrop
