#include "tests/agent/faults/matrix.hpp"

#include <algorithm>
#include <random>

namespace outcrop {
namespace {

using Fault = FaultyBoard::Fault;
using Kind = DiskFault::Kind;

// States that the deployer works in, and those that it writes down.
constexpr const char* worked_in[] = {"OFFERED", "DOWNLOADING", "DOWNLOADED", "VERIFIED",
                                     "PROVING", "MEASURING",   "UPDATING",   "SOAKING"};
constexpr const char* written[] = {"OFFERED", "PROVING", "UPDATING", "SOAKING", "UPDATED"};

struct Failing {
  const char* name;
  Kind kind;
  bool for_ever;
};
constexpr Failing failing[] = {{"EIO once", Kind::io, false},
                               {"EIO for ever", Kind::io, true},
                               {"ENOSPC once", Kind::full, false},
                               {"ENOSPC for ever", Kind::full, true},
                               {"EINTR", Kind::interrupt, false},
                               {"short once", Kind::brief, false},
                               {"short for ever", Kind::brief, true}};

class Faults {
 public:
  Faults(const FaultyBoard& board, const MatrixOptions& options)
      : board_(board), options_(options), random_(options.seed) {}

  std::vector<Fault> all() {
    add_points();
    add_kills("kill at a call", false, options_.fast ? 6 : options_.kills);
    add_kills("kill, files of an earlier agent", true, options_.fast ? 4 : options_.kills / 8);
    for (const Failing& one : failing) add_failing(one);
    add_cuts();
    add_two_in_a_row();
    add_moves("its broker moves", Life::Move::followed);
    add_moves("its broker moves to nowhere", Life::Move::to_nowhere);
    return std::move(all_);
  }

 private:
  bool wanted(const std::string& name) const { return name.starts_with(options_.only); }

  void add_points() {
    std::vector<Fault> points;
    const auto add = [&](const char* what, const std::string& point) {
      Fault fault;
      fault.name = std::string(what) + " at a step";
      fault.where = point;
      fault.at_point = what;
      fault.point = point;
      if (wanted(fault.name)) points.push_back(fault);
    };
    for (const char* what : {"kill", "hang", "error"}) {
      for (const std::string state : worked_in) {
        add(what, state + " begins");
        add(what, state + " ends");
      }
      if (std::string(what) == "error") continue;
      for (const std::string state : written) add(what, state + " written");
    }
    take_some(std::move(points), 8);
  }

  // At random calls, by an agent that may first have to take over an earlier one's files.
  void add_kills(const char* name, bool of_earlier_agent, std::uint64_t count) {
    if (!wanted(name)) return;
    Fault fault;
    fault.name = name;
    fault.of_earlier_agent = of_earlier_agent;
    fault.disk.kind = Kind::kill;
    const std::uint64_t calls = board_.calls(fault);
    for (std::uint64_t i = 0; i < count; ++i) add_call(fault, 1 + random_() % calls);
  }

  void add_failing(const Failing& one) {
    if (!wanted(one.name)) return;
    Fault fault;
    fault.name = one.name;
    fault.disk.kind = one.kind;
    fault.disk.for_ever = one.for_ever;
    const std::uint64_t calls = board_.calls(fault);
    if (options_.fast) {
      for (int i = 0; i < 2; ++i) add_call(fault, 1 + random_() % calls);
      return;
    }
    for (std::uint64_t at = 1; at <= calls; at += options_.every) add_call(fault, at);
  }

  void add_cuts() {
    Fault fault;
    fault.name = options_.syncs ? "power cut" : "power cut, nothing synced";
    if (!wanted(fault.name)) return;
    fault.disk.kind = Kind::kill;
    const std::uint64_t calls = board_.calls(fault);
    fault.disk.kind = Kind::cut;
    fault.disk.syncs = options_.syncs;
    add_call(fault, 100 * calls);  // after the end
    for (std::uint64_t i = 0; i < (options_.fast ? 6 : options_.cuts); ++i) {
      add_call(fault, 1 + random_() % calls);
    }
  }

  // The second one befalls whoever takes up what the first has left.
  void add_two_in_a_row() {
    struct Two {
      const char* name;
      Kind first, second;
    };
    constexpr Two all[] = {{"two in a row: kill, kill", Kind::kill, Kind::kill},
                           {"two in a row: EIO, kill", Kind::io, Kind::kill},
                           {"two in a row: kill, power cut", Kind::kill, Kind::cut},
                           {"two in a row: power cut, power cut", Kind::cut, Kind::cut}};
    for (const Two& two : all) {
      if (!wanted(two.name)) continue;
      Fault fault;
      fault.name = two.name;
      fault.disk.kind = two.first == Kind::cut ? Kind::kill : two.first;
      const std::uint64_t calls = board_.calls(fault);
      fault.disk.kind = two.first;
      fault.then.kind = two.second;
      for (std::uint64_t i = 0; i < (options_.fast ? 2 : options_.kills / 16); ++i) {
        fault.then.at = 1 + random_() % calls;
        add_call(fault, 1 + random_() % calls);
      }
    }
  }

  // Each call in turn, from the start of the agent that is told of the move.
  void add_moves(const char* name, Life::Move move) {
    constexpr Failing all[] = {{"kill", Kind::kill, false},        {"power cut", Kind::cut, false},
                               {"EIO once", Kind::io, false},      {"EIO for ever", Kind::io, true},
                               {"ENOSPC once", Kind::full, false}, {"ENOSPC for ever", Kind::full, true}};
    for (const Failing& one : all) {
      Fault fault;
      fault.name = std::string(name) + ": " + one.name;
      if (!wanted(fault.name)) continue;
      fault.move = move;
      fault.disk.kind = one.kind == Kind::cut ? Kind::kill : one.kind;
      fault.disk.for_ever = one.for_ever;
      const std::uint64_t calls = board_.calls(fault);
      fault.disk.kind = one.kind;
      fault.disk.syncs = options_.syncs;
      if (options_.fast) {
        add_call(fault, 1 + random_() % calls);
      } else {
        for (std::uint64_t at = 1; at <= calls; at += options_.every) add_call(fault, at);
      }
    }
  }

  void add_call(Fault fault, std::uint64_t at) {
    fault.where = "call " + std::to_string(at) + ", fault " + std::to_string(all_.size());
    fault.disk.at = at;
    fault.seed = random_();
    all_.push_back(std::move(fault));
  }

  void take_some(std::vector<Fault> some, std::size_t when_fast) {
    std::shuffle(some.begin(), some.end(), random_);
    if (options_.fast && some.size() > when_fast) some.resize(when_fast);
    all_.insert(all_.end(), some.begin(), some.end());
  }

  const FaultyBoard& board_;
  const MatrixOptions& options_;
  std::mt19937_64 random_;
  std::vector<Fault> all_;
};

}  // namespace

std::vector<Fault> faults(const FaultyBoard& board, const MatrixOptions& options) {
  return Faults(board, options).all();
}

}  // namespace outcrop
