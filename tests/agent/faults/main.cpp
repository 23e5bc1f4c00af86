// outcrop-faults: updates of a board under every fault that it may meet, and what became of them.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

#include <CLI/CLI.hpp>

#include "tests/agent/faults/matrix.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

struct Row {
  std::size_t met = 0;
  std::size_t missed = 0;  // it did not come
  std::size_t again = 0;   // the second of two came, too
  std::map<std::string, std::size_t> outcomes;
  std::size_t lost = 0;
  std::vector<double> recovery_s;
};

// "name|befell|outcome|seconds|what is wrong" of each fault, by a process of its own.
void meet_share(const FaultyBoard& board, const std::vector<FaultyBoard::Fault>& faults,
                std::size_t share, std::size_t shares, const fs::path& results) {
  std::ofstream out(results);
  for (std::size_t i = share; i < faults.size(); i += shares) {
    const FaultyBoard::Verdict verdict = board.meet(faults[i]);
    out << faults[i].name << '|' << faults[i].where << " (" << verdict.befell << ")|"
        << verdict.outcome << '|' << verdict.recovery_s << '|';
    for (const std::string& wrong : verdict.wrong) out << wrong << "; ";
    out << std::endl;
  }
}

void read_results(const fs::path& results, std::map<std::string, Row>& rows) {
  std::ifstream in(results);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name, where, outcome, seconds, wrong;
    std::getline(fields, name, '|');
    std::getline(fields, where, '|');
    std::getline(fields, outcome, '|');
    std::getline(fields, seconds, '|');
    std::getline(fields, wrong);
    Row& row = rows[name];
    ++(where.ends_with("()") ? row.missed : row.met);
    row.again += where.ends_with(", and again)") ? 1 : 0;
    ++row.outcomes[outcome];
    row.recovery_s.push_back(std::stod(seconds));
    if (wrong.empty()) continue;
    ++row.lost;
    std::fprintf(stderr, "LOST  %s, %s: %s\n", name.c_str(), where.c_str(), wrong.c_str());
  }
}

// A table of the rows of which any had one of these outcomes.
void print(const std::map<std::string, Row>& rows, const std::vector<std::string>& outcomes) {
  const auto ended_so = [&](const Row& row) {
    return std::any_of(outcomes.begin(), outcomes.end(), [&](const std::string& one) { return row.outcomes.contains(one); });
  };
  if (std::none_of(rows.begin(), rows.end(), [&](const auto& named) { return ended_so(named.second); })) return;
  std::string heads, line = "|---|---|---|---|---|";
  for (const std::string& outcome : outcomes) {
    heads += " " + outcome + " |";
    line += "---|";
  }
  std::printf("| fault | met |%s lost | recovery s, median | longest |\n%s\n", heads.c_str(), line.c_str());
  for (auto [name, row] : rows) {
    if (!ended_so(row)) continue;
    std::sort(row.recovery_s.begin(), row.recovery_s.end());
    std::printf("| %s | %zu |", name.c_str(), row.met);
    for (const std::string& outcome : outcomes) std::printf(" %zu |", row.outcomes[outcome]);
    std::printf(" %zu | %.1f | %.1f |\n", row.lost, row.recovery_s[row.recovery_s.size() / 2], row.recovery_s.back());
  }
  std::printf("\n");
}

void print(const std::map<std::string, Row>& rows) {
  print(rows, {"UPDATED", "FAILED", "ROLLED_BACK"});
  print(rows, {"moved", "stayed"});
  for (const auto& [name, row] : rows) {
    if (row.again > 0) std::printf("\n%s: the second came %zu times", name.c_str(), row.again);
  }
}

int run(const MatrixOptions& options, const Offered& offered, const fs::path& parent, std::size_t jobs, bool keep) {
  std::string name = (parent / "outcrop-faults-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    std::fprintf(stderr, "no folder can be made in %s\n", parent.c_str());
    return 1;
  }
  const fs::path folder = name;
  const FaultyBoard board(folder, offered);
  const std::vector<FaultyBoard::Fault> all = faults(board, options);
  std::vector<pid_t> workers;
  for (std::size_t share = 0; share < jobs; ++share) {
    const pid_t worker = ::fork();
    if (worker == 0) {
      meet_share(board, all, share, jobs, folder / ("results-" + std::to_string(share)));
      ::_exit(0);
    }
    workers.push_back(worker);
  }
  bool whole = true;
  for (const pid_t worker : workers) {
    int status = 0;
    ::waitpid(worker, &status, 0);
    whole = whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  std::map<std::string, Row> rows;
  for (std::size_t share = 0; share < jobs; ++share) {
    read_results(folder / ("results-" + std::to_string(share)), rows);
  }
  print(rows);
  std::size_t met = 0;
  std::size_t missed = 0;
  std::size_t lost = 0;
  for (const auto& [fault, row] : rows) {
    met += row.met;
    missed += row.missed;
    lost += row.lost;
  }
  std::printf("\n%zu faults met with seed %llu, %zu that did not come, %zu boards lost\n", met,
              static_cast<unsigned long long>(options.seed), missed, lost);
  if (lost > 0 && keep) std::printf("the boards that were lost are in %s\n", folder.c_str());
  if (lost == 0 || !keep) fs::remove_all(folder);
  if (!whole || met + missed != all.size()) {
    std::fprintf(stderr, "a process of the matrix died\n");
    return 1;
  }
  if (10 * missed > all.size()) {
    std::fprintf(stderr, "%zu faults did not come\n", missed);
    return 1;
  }
  if (options.syncs) return lost == 0 ? 0 : 1;
  if (lost > 0) return 0;
  std::fprintf(stderr, "nothing was lost though nothing was synced: the matrix sees nothing\n");
  return 1;
}

}  // namespace
}  // namespace outcrop

int main(int argc, char** argv) {
  using namespace outcrop;
  CLI::App app("Updates of a board under every fault that it may meet, and what became of them.");
  MatrixOptions options;
  Offered offered{.runner = OUTCROP_RUNNER};
  // In memory where that can be had: thousands of boards are written.
  std::string parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  std::size_t jobs = 1;
  bool unsynced = false;
  bool keep = false;
  app.add_flag("--fast", options.fast, "Some faults of each kind, chosen by the seed");
  app.add_option("--seed", options.seed, "Of what is chosen at random")->capture_default_str();
  app.add_option("--kills", options.kills, "Kills at random calls")->capture_default_str();
  app.add_option("--cuts", options.cuts, "Power cuts at random calls")->capture_default_str();
  app.add_option("--every", options.every, "Of the calls that fail in turn, every nth")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--without-syncs", unsynced,
               "No fsync does anything: power cuts must then lose something, or this fails");
  app.add_flag("--keep", keep, "Leave the boards that were lost where they are");
  app.add_option("--only", options.only, "Faults whose name begins so");
  app.add_option("--releases", offered.releases, "Three to be offered one after the other, instead of scripted ones")
      ->expected(3)
      ->check(CLI::ExistingDirectory);
  app.add_option("--runner", offered.runner, "What runs them")->check(CLI::ExistingFile);
  app.add_option("--jobs", jobs, "Boards at a time")->check(CLI::PositiveNumber);
  app.add_option("--folder", parent, "Where the boards lie")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  options.syncs = !unsynced;
  return run(options, offered, parent, jobs, keep);
}
