#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop::fleet {

// A copy of a state folder that is one itself, made while outcropd works in it or not: database as
// of one moment, every blob that it knows (hard links on the same file system, else copies), the
// broker's certificates. Appears whole under its name or not at all; already_exists where the name
// is taken. The online keys and host.toml are not in the state folder: back them up as well.
[[nodiscard]] Status back_up_state(const std::filesystem::path& state,
                                   const std::filesystem::path& to);

}  // namespace outcrop::fleet
