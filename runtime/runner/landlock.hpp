#pragma once

#include <string>

namespace outcrop::runtime {

// Forbids this thread and those it starts to open, make or change any file, to connect or bind
// TCP sockets and to signal other processes, as far as this kernel's Landlock goes (the third
// needs ABI 6). Needs no_new_privs. Empty on success, else the reason.
[[nodiscard]] std::string forbid_files_by_landlock();

// Moves this single-threaded process into namespaces of its own whose only file system is empty
// and read-only. Empty on success, else the reason.
[[nodiscard]] std::string leave_files_by_namespace();

}  // namespace outcrop::runtime
