#pragma once

#include <string>

namespace outcrop::runtime {

// Lets this process make only the system calls that running a loaded model needs; every other
// one fails with EPERM from here on, in this thread and all it starts. Needs no_new_privs.
// Empty on success, else the reason.
[[nodiscard]] std::string filter_system_calls();

}  // namespace outcrop::runtime
