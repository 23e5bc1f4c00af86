#pragma once

#include <map>
#include <string>

#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// The bounds for what stages of versions before protocol 4 give, which say nothing of it themselves:
// the generator's outputs in OpenFWI's ranges (1500..4500 m/s, pressure about -27..53).
[[nodiscard]] std::map<std::string, OutputPolicy> earlier_outputs();

}  // namespace outcrop::release
