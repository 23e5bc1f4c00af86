#pragma once

#include <string>
#include <vector>

namespace outcrop {

// What this process's resolver answers for a name: these addresses, or, where there are none,
// nothing at all, ever. In a shared library, which the loader asks before libc.
void script_resolver(const std::string& name, const std::vector<std::string>& addresses);

// Questions for the name so far.
int questions_for(const std::string& name);

}  // namespace outcrop
