#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace outcrop::cli {

// The option parser reads numbers as strtoull does: "-1" as 2^64-1, "010" as 8, "0x10" as 16, and
// an empty text as nothing. These make every number of a command line one in plain decimal
// notation: digits, a minus where the option may be below zero, and for reals a point and an
// exponent.

// For all options of a program, its verbs and theirs, whose values are numbers. Call it after they
// have been added.
void read_numbers_strictly(CLI::App& app);

// Names the unit of such an option in its help ("SECONDS") and keeps it strict, which the parser
// cannot know by itself once its type has another name.
CLI::Option* in_unit(CLI::Option* option, const std::string& unit);

}  // namespace outcrop::cli
