#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/agent/faults/board.hpp"

namespace outcrop {

// What a board is offered, and by what it runs that.
struct Offered {
  std::filesystem::path runner;
  // Three of the model and the class of Forge's, as `outcrop release create` writes them; none: scripted ones.
  std::vector<std::filesystem::path> releases{};
};

// A board that serves its first release, whose host has two more to offer: what each trial begins
// with.
class FaultyBoard {
 public:
  FaultyBoard(std::filesystem::path folder, Offered offered);

  struct Fault {
    std::string name;   // "EIO once"
    std::string where;  // "SOAKING ends", "call 17"
    DiskFault disk;
    std::string at_point;  // as Life has them
    std::string point;
    DiskFault then;                 // of the life after that one, before the one without; may not come
    bool of_earlier_agent = false;  // its files are those of an agent before the ledger
    Life::Move move = Life::Move::none;  // the fault befalls that
    std::uint64_t seed = 0;         // of what a power cut leaves
  };
  struct Verdict {
    bool hit = false;
    std::string befell;   // the call or the point
    std::string outcome;  // how the host knows that the update under fault ended; of a move, whether it was followed
    double recovery_s = 0;  // from the next start until the host knew that, and had its next update
    std::vector<std::string> wrong;
  };
  // Calls that such a fault can befall in an update without any.
  [[nodiscard]] std::uint64_t calls(const Fault& fault) const;
  // An update under the fault; then one more life without, in which that update ends, where it has
  // not, and the next one is made. Leaves the folder where anything is wrong.
  [[nodiscard]] Verdict meet(const Fault& fault) const;

 private:
  void make_board();
  void make_offers();
  [[nodiscard]] Life life_in(const std::filesystem::path& folder, const Fault& fault) const;
  void live_under_another(const Fault& fault, const std::filesystem::path& folder, Verdict& verdict) const;
  void check_places(const Fault& fault, const std::filesystem::path& folder, Verdict& verdict) const;
  void check_heard(const Fault& fault, const std::filesystem::path& folder, Verdict& verdict) const;
  void check_after_cut(const std::filesystem::path& folder, Verdict& verdict) const;
  static void check_files(const std::filesystem::path& folder, Verdict& verdict);

  std::filesystem::path folder_;
  Offered offered_;
  Forge forge_;  // keys of the host, and what it signed
  std::vector<std::string> releases_;  // digests, by generation; [0] is none
};

}  // namespace outcrop
