#pragma once

#include <filesystem>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::runtime {

// Files, or folders with all beneath them, that must be there. None may be the root of all.
struct JailFolders {
  std::vector<std::filesystem::path> read;
  std::vector<std::filesystem::path> write;  // as FileAccess::write
  std::vector<std::filesystem::path> run;    // other people's programs to start, and read
};

// For a program that itself runs what strangers made, with files: starts this program again, with
// the same arguments, in a jail for good, and returns only where this process is in it already.
// Again, because Landlock binds the calling thread and what that starts, and libraries have
// threads of their own before main does anything. Call it first of all, while nothing is done
// that would be done twice; nothing inherited but standard input, output and error stays open.
//
// - files: those named; read and run /usr, /lib, /bin and this program with its libraries and its
//   siblings outcrop*; read /proc, what there is of processors in /sys, and of /etc what the
//   loader, locales, fonts and names of users need; /dev/null and the like. No temporary folder.
// - no sockets but pairs, no other processes' memory, no namespaces, mounts, keys, ...
//   (refuse_escaping_calls); no new privileges; of root's capabilities only to open files that
//   are others' (CAP_DAC_OVERRIDE); no signals to processes outside (Landlock's ABI 6)
// - of the environment what programs need
// - no core file, not dumpable
//
// A child of it (gnuplot, a runtime::Runner, which confines itself further) is in the jail, too.
// Linux only. Where the variable OUTCROP_JAILED says that this is the second start, the jail is
// tried, and `refused` says what does not hold: a variable alone is not believed, and nothing is
// started a third time. After another error end the program: it may be half confined.
// `unsupported` where the kernel has no Landlock; with `allow_reduced_confinement` it says so on
// standard error, and returns without a jail.
[[nodiscard]] Status go_on_in_jail(const JailFolders& folders,
                                   bool allow_reduced_confinement = false);

}  // namespace outcrop::runtime
