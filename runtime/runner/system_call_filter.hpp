#pragma once

#include <string>

namespace outcrop::runtime {

// Lets this process make only the system calls that running a loaded model needs; every other
// one fails with EPERM from here on, in this thread and all it starts. Needs no_new_privs.
// Empty on success, else the reason.
[[nodiscard]] std::string filter_system_calls();

// Refuses with EPERM, in this thread and all it starts, the calls by which a program whose files
// Landlock guards could still reach beyond them: sockets (socketpair stays), other processes'
// memory, namespaces and mounts, the kernel and its keys, System V memory, modes, owners and
// times of files by name, set-user-id modes, words put into the terminal. clone3 and openat2 are
// unknown, so that the C library takes their elder siblings, whose flags a filter sees. A call
// of another architecture ends the process. Needs no_new_privs. Empty on success, else the
// reason.
[[nodiscard]] std::string refuse_escaping_calls();

}  // namespace outcrop::runtime
