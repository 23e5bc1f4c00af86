#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/agent/faults/trial.hpp"

namespace outcrop {

struct MatrixOptions {
  bool fast = false;            // some of each kind, by the seed
  std::uint64_t seed = 1;
  std::uint64_t kills = 950;    // random ones
  std::uint64_t cuts = 200;     // power cuts, at random calls
  std::uint64_t every = 1;      // of the calls that fail in turn: each, or every nth
  bool syncs = true;
  std::string only;             // faults whose name begins so
};

// Every fault that is to be met, in an order of its own.
[[nodiscard]] std::vector<FaultyBoard::Fault> faults(const FaultyBoard& board,
                                                     const MatrixOptions& options);

}  // namespace outcrop
