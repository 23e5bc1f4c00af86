#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "agent/deploy/record.hpp"
#include "agent/report/outbox.hpp"
#include "agent/slots/slots.hpp"
#include "agent/state/kept_twice.hpp"

namespace outcrop::agent {

// What a board decides by. It is written down together, so that no kill comes between a deployment's
// state, the release that serves, and the report that says so.
struct Decided {
  Record record;
  SlotTable slots;
  std::optional<Outbox::Pending> report;  // of the latest end, while it is not acknowledged
};

// What serves and was not taken on trial; what served before one that is on trial.
[[nodiscard]] std::optional<Installed> committed(const Decided& decided);

[[nodiscard]] std::string to_text(const Decided& decided);  // with its checksum
[[nodiscard]] Result<Decided> parse_decided(std::string_view text);

// The files that a board decides by, in <state>/:
//   board.json      all of Decided, behind its SHA-256; kept twice
//   committed.json  the release that was committed last: what serves where all copies of the other
//                   are lost
//   set-aside       space, for writing down on a full disk how a deployment ended
// The files of agents before this one (earlier_state.hpp) are taken over once.
class Ledger {
 public:
  // Reads, and writes nothing: another agent may be at work here. What cannot be used is replaced
  // by the best that is known, which never serves a release on trial: a copy, else the release
  // committed last, else nothing.
  [[nodiscard]] static Ledger open(const std::filesystem::path& state);

  [[nodiscard]] const Decided& found() const { return found_; }
  // What was wrong with it.
  [[nodiscard]] const std::optional<std::string>& trouble() const { return trouble_; }

  // For the program that owns the files, before the first commit: sets aside what is damaged, and
  // writes down what was taken over from an earlier agent before that one's files go.
  void settle();

  // Replaces what was decided, or changes nothing and fails. `set_aside`: rather than fail for want
  // of space, with the space that is kept for it.
  enum class Space { free, set_aside };
  [[nodiscard]] Status commit(const Decided& decided, Space space = Space::free);

 private:
  explicit Ledger(const std::filesystem::path& state);
  [[nodiscard]] bool read_board();
  void take_over_earlier(bool known);
  void look_at_committed(bool known);
  void keep_committed(const Decided& decided);
  void set_space_aside() const;

  std::filesystem::path state_;
  KeptTwice board_;
  KeptTwice::Reading reading_;
  Decided found_;
  std::optional<std::string> trouble_;
  std::optional<Installed> committed_;  // as committed.json has it
  bool of_earlier_ = false;             // found_ is an earlier agent's, not written down yet
  bool of_newer_ = false;
};

}  // namespace outcrop::agent
