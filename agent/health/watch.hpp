#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "agent/health/call_window.hpp"
#include "agent/slots/slots.hpp"
#include "protocol/base/clock.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

// What a proof and measurement of the release that serves came to.
enum class ProvedAgain {
  right,
  wrong,        // outputs beyond the tolerance, a runner that broke, times or memory beyond the budget
  void_figures,  // the outputs are right, other work disturbed the times
  not_possible,  // nothing is known of the release: no runner, no memory, files that cannot be read
};

struct WatchOptions {
  std::chrono::seconds interval{86'400};      // between proofs
  std::chrono::seconds first_after{600};      // of a start, or of a change of what it hangs on
  std::filesystem::path runner;               // whose program is part of the surroundings
};

// Watches what serves for as long as it does: says when it is to be proved again, and when it is no
// good any more. When it was proved last, and where, is kept in `file`, so that a board that is unplugged each day is
// proved each day; where that is lost it is proved once more. Not thread-safe.
class Watch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  Watch(std::filesystem::path file, WatchOptions options, const Clock& clock, runtime::MachineFiles files = runtime::MachineFiles());

  // Another release serves from now on, or none.
  void serves(const std::optional<Installed>& release, Time now);
  void on_call(const Installed& release, CallEnd end) {
    if (release_ == release) calls_.add(end);
  }
  // Looks at what proofs hang on: a change makes one due.
  void look_around(Time now);

  // When what serves is to be proved again; none where nothing serves.
  [[nodiscard]] std::optional<Time> due() const { return due_; }
  // What a proof came to, and when the next is due. A complaint where it was wrong twice in a row.
  [[nodiscard]] std::optional<std::string> proved(ProvedAgain result, const std::string& in_words, Time now);
  // It could not be tried just then.
  void postpone(Time now);
  // What its calls say against it.
  [[nodiscard]] std::optional<std::string> complaint_of_calls() const { return calls_.complaint(); }
  // It serves on, although it was complained of.
  void forgive(Time now);

 private:
  void remember();

  std::filesystem::path file_;
  WatchOptions options_;
  const Clock& clock_;
  runtime::MachineFiles files_;
  std::optional<Installed> release_;
  std::optional<Time> due_;
  std::string surroundings_;
  std::string temperature_;
  bool wrong_before_ = false;
  CallWindow calls_;
};

}  // namespace outcrop::agent
